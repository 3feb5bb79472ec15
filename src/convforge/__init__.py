"""convforge: the convolution layer on its own, with PyTorch's names, numbers and errors.

    import convforge as torch
    import convforge.nn as nn

Nothing is imported until it is used: a name is looked up in the table below and its module imported
then, so that `import convforge` costs no more than NumPy.
"""

# pyright: reportUnusedImport=false
# ruff: noqa: F401, N813 - the names under TYPE_CHECKING are the public ones, as PyTorch spells them

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from . import autograd as autograd
    from . import nn as nn
    from . import optim as optim
    from .autograd.creation import (
        arange as arange,
    )
    from .autograd.creation import (
        as_tensor as as_tensor,
    )
    from .autograd.creation import (
        asarray as asarray,
    )
    from .autograd.creation import (
        bernoulli as bernoulli,
    )
    from .autograd.creation import (
        complex as complex,
    )
    from .autograd.creation import (
        empty as empty,
    )
    from .autograd.creation import (
        empty_like as empty_like,
    )
    from .autograd.creation import (
        eye as eye,
    )
    from .autograd.creation import (
        from_numpy as from_numpy,
    )
    from .autograd.creation import (
        full as full,
    )
    from .autograd.creation import (
        full_like as full_like,
    )
    from .autograd.creation import (
        linspace as linspace,
    )
    from .autograd.creation import (
        logspace as logspace,
    )
    from .autograd.creation import (
        normal as normal,
    )
    from .autograd.creation import (
        ones as ones,
    )
    from .autograd.creation import (
        ones_like as ones_like,
    )
    from .autograd.creation import (
        rand as rand,
    )
    from .autograd.creation import (
        rand_like as rand_like,
    )
    from .autograd.creation import (
        randint as randint,
    )
    from .autograd.creation import (
        randint_like as randint_like,
    )
    from .autograd.creation import (
        randn as randn,
    )
    from .autograd.creation import (
        randn_like as randn_like,
    )
    from .autograd.creation import (
        randperm as randperm,
    )
    from .autograd.creation import (
        scalar_tensor as scalar_tensor,
    )
    from .autograd.creation import (
        tensor as tensor,
    )
    from .autograd.creation import (
        zeros as zeros,
    )
    from .autograd.creation import (
        zeros_like as zeros_like,
    )
    from .autograd.device import Device as device
    from .autograd.dtype import DType as dtype
    from .autograd.dtype import (
        bfloat16 as bfloat16,
    )
    from .autograd.dtype import bool_ as bool
    from .autograd.dtype import (
        cdouble as cdouble,
    )
    from .autograd.dtype import (
        cfloat as cfloat,
    )
    from .autograd.dtype import (
        complex64 as complex64,
    )
    from .autograd.dtype import (
        complex128 as complex128,
    )
    from .autograd.dtype import (
        double as double,
    )
    from .autograd.dtype import (
        float16 as float16,
    )
    from .autograd.dtype import (
        float32 as float32,
    )
    from .autograd.dtype import (
        float64 as float64,
    )
    from .autograd.dtype import float_ as float
    from .autograd.dtype import (
        get_default_dtype as get_default_dtype,
    )
    from .autograd.dtype import (
        half as half,
    )
    from .autograd.dtype import (
        int8 as int8,
    )
    from .autograd.dtype import (
        int16 as int16,
    )
    from .autograd.dtype import (
        int32 as int32,
    )
    from .autograd.dtype import (
        int64 as int64,
    )
    from .autograd.dtype import int_ as int
    from .autograd.dtype import (
        long as long,
    )
    from .autograd.dtype import (
        set_default_dtype as set_default_dtype,
    )
    from .autograd.dtype import (
        short as short,
    )
    from .autograd.dtype import (
        uint8 as uint8,
    )
    from .autograd.dtype import (
        uint16 as uint16,
    )
    from .autograd.dtype import (
        uint32 as uint32,
    )
    from .autograd.dtype import (
        uint64 as uint64,
    )
    from .autograd.functional import (
        abs as abs,
    )
    from .autograd.functional import (
        absolute as absolute,
    )
    from .autograd.functional import (
        acos as acos,
    )
    from .autograd.functional import (
        add as add,
    )
    from .autograd.functional import (
        addcdiv as addcdiv,
    )
    from .autograd.functional import (
        addcmul as addcmul,
    )
    from .autograd.functional import (
        addmm as addmm,
    )
    from .autograd.functional import (
        all as all,
    )
    from .autograd.functional import (
        allclose as allclose,
    )
    from .autograd.functional import (
        amax as amax,
    )
    from .autograd.functional import (
        amin as amin,
    )
    from .autograd.functional import (
        aminmax as aminmax,
    )
    from .autograd.functional import (
        angle as angle,
    )
    from .autograd.functional import (
        any as any,
    )
    from .autograd.functional import (
        argmax as argmax,
    )
    from .autograd.functional import (
        argmin as argmin,
    )
    from .autograd.functional import (
        argsort as argsort,
    )
    from .autograd.functional import (
        asin as asin,
    )
    from .autograd.functional import (
        atan as atan,
    )
    from .autograd.functional import (
        baddbmm as baddbmm,
    )
    from .autograd.functional import (
        bitwise_and as bitwise_and,
    )
    from .autograd.functional import (
        bitwise_not as bitwise_not,
    )
    from .autograd.functional import (
        bitwise_or as bitwise_or,
    )
    from .autograd.functional import (
        bitwise_xor as bitwise_xor,
    )
    from .autograd.functional import (
        bmm as bmm,
    )
    from .autograd.functional import (
        broadcast_tensors as broadcast_tensors,
    )
    from .autograd.functional import (
        broadcast_to as broadcast_to,
    )
    from .autograd.functional import (
        cat as cat,
    )
    from .autograd.functional import (
        ceil as ceil,
    )
    from .autograd.functional import (
        chunk as chunk,
    )
    from .autograd.functional import (
        clamp as clamp,
    )
    from .autograd.functional import (
        clip as clip,
    )
    from .autograd.functional import (
        clone as clone,
    )
    from .autograd.functional import (
        concat as concat,
    )
    from .autograd.functional import (
        concatenate as concatenate,
    )
    from .autograd.functional import (
        conj as conj,
    )
    from .autograd.functional import (
        cos as cos,
    )
    from .autograd.functional import (
        cosh as cosh,
    )
    from .autograd.functional import (
        count_nonzero as count_nonzero,
    )
    from .autograd.functional import (
        cumprod as cumprod,
    )
    from .autograd.functional import (
        cumsum as cumsum,
    )
    from .autograd.functional import (
        diag as diag,
    )
    from .autograd.functional import (
        diagonal as diagonal,
    )
    from .autograd.functional import (
        div as div,
    )
    from .autograd.functional import (
        divide as divide,
    )
    from .autograd.functional import (
        dot as dot,
    )
    from .autograd.functional import (
        einsum as einsum,
    )
    from .autograd.functional import (
        eq as eq,
    )
    from .autograd.functional import (
        equal as equal,
    )
    from .autograd.functional import (
        erf as erf,
    )
    from .autograd.functional import (
        exp as exp,
    )
    from .autograd.functional import (
        exp2 as exp2,
    )
    from .autograd.functional import (
        expm1 as expm1,
    )
    from .autograd.functional import (
        flatten as flatten,
    )
    from .autograd.functional import (
        flip as flip,
    )
    from .autograd.functional import (
        floor as floor,
    )
    from .autograd.functional import (
        floor_divide as floor_divide,
    )
    from .autograd.functional import (
        fmod as fmod,
    )
    from .autograd.functional import (
        frac as frac,
    )
    from .autograd.functional import (
        gather as gather,
    )
    from .autograd.functional import (
        ge as ge,
    )
    from .autograd.functional import (
        gt as gt,
    )
    from .autograd.functional import (
        imag as imag,
    )
    from .autograd.functional import (
        index_add as index_add,
    )
    from .autograd.functional import (
        index_select as index_select,
    )
    from .autograd.functional import (
        is_complex as is_complex,
    )
    from .autograd.functional import (
        is_floating_point as is_floating_point,
    )
    from .autograd.functional import (
        isclose as isclose,
    )
    from .autograd.functional import (
        isfinite as isfinite,
    )
    from .autograd.functional import (
        isinf as isinf,
    )
    from .autograd.functional import (
        isnan as isnan,
    )
    from .autograd.functional import (
        le as le,
    )
    from .autograd.functional import (
        lerp as lerp,
    )
    from .autograd.functional import (
        log as log,
    )
    from .autograd.functional import (
        log1p as log1p,
    )
    from .autograd.functional import (
        log2 as log2,
    )
    from .autograd.functional import (
        log10 as log10,
    )
    from .autograd.functional import (
        log_softmax as log_softmax,
    )
    from .autograd.functional import (
        logical_and as logical_and,
    )
    from .autograd.functional import (
        logical_not as logical_not,
    )
    from .autograd.functional import (
        logical_or as logical_or,
    )
    from .autograd.functional import (
        logical_xor as logical_xor,
    )
    from .autograd.functional import (
        logsumexp as logsumexp,
    )
    from .autograd.functional import (
        lt as lt,
    )
    from .autograd.functional import (
        masked_fill as masked_fill,
    )
    from .autograd.functional import (
        masked_select as masked_select,
    )
    from .autograd.functional import (
        matmul as matmul,
    )
    from .autograd.functional import (
        max as max,
    )
    from .autograd.functional import (
        maximum as maximum,
    )
    from .autograd.functional import (
        mean as mean,
    )
    from .autograd.functional import (
        median as median,
    )
    from .autograd.functional import (
        meshgrid as meshgrid,
    )
    from .autograd.functional import (
        min as min,
    )
    from .autograd.functional import (
        minimum as minimum,
    )
    from .autograd.functional import (
        mm as mm,
    )
    from .autograd.functional import (
        moveaxis as moveaxis,
    )
    from .autograd.functional import (
        movedim as movedim,
    )
    from .autograd.functional import (
        mul as mul,
    )
    from .autograd.functional import (
        multiply as multiply,
    )
    from .autograd.functional import (
        mv as mv,
    )
    from .autograd.functional import (
        nan_to_num as nan_to_num,
    )
    from .autograd.functional import (
        narrow as narrow,
    )
    from .autograd.functional import (
        ne as ne,
    )
    from .autograd.functional import (
        neg as neg,
    )
    from .autograd.functional import (
        negative as negative,
    )
    from .autograd.functional import (
        nonzero as nonzero,
    )
    from .autograd.functional import (
        norm as norm,
    )
    from .autograd.functional import (
        numel as numel,
    )
    from .autograd.functional import (
        outer as outer,
    )
    from .autograd.functional import (
        permute as permute,
    )
    from .autograd.functional import (
        positive as positive,
    )
    from .autograd.functional import (
        pow as pow,
    )
    from .autograd.functional import (
        prod as prod,
    )
    from .autograd.functional import (
        ravel as ravel,
    )
    from .autograd.functional import (
        real as real,
    )
    from .autograd.functional import (
        reciprocal as reciprocal,
    )
    from .autograd.functional import (
        relu as relu,
    )
    from .autograd.functional import (
        remainder as remainder,
    )
    from .autograd.functional import (
        repeat_interleave as repeat_interleave,
    )
    from .autograd.functional import (
        reshape as reshape,
    )
    from .autograd.functional import (
        roll as roll,
    )
    from .autograd.functional import (
        round as round,
    )
    from .autograd.functional import (
        rsqrt as rsqrt,
    )
    from .autograd.functional import (
        rsub as rsub,
    )
    from .autograd.functional import (
        scatter as scatter,
    )
    from .autograd.functional import (
        scatter_add as scatter_add,
    )
    from .autograd.functional import (
        select as select,
    )
    from .autograd.functional import (
        sgn as sgn,
    )
    from .autograd.functional import (
        sigmoid as sigmoid,
    )
    from .autograd.functional import (
        sign as sign,
    )
    from .autograd.functional import (
        sin as sin,
    )
    from .autograd.functional import (
        sinh as sinh,
    )
    from .autograd.functional import (
        softmax as softmax,
    )
    from .autograd.functional import (
        sort as sort,
    )
    from .autograd.functional import (
        split as split,
    )
    from .autograd.functional import (
        sqrt as sqrt,
    )
    from .autograd.functional import (
        square as square,
    )
    from .autograd.functional import (
        squeeze as squeeze,
    )
    from .autograd.functional import (
        stack as stack,
    )
    from .autograd.functional import (
        std as std,
    )
    from .autograd.functional import (
        std_mean as std_mean,
    )
    from .autograd.functional import (
        sub as sub,
    )
    from .autograd.functional import (
        subtract as subtract,
    )
    from .autograd.functional import (
        sum as sum,
    )
    from .autograd.functional import (
        swapaxes as swapaxes,
    )
    from .autograd.functional import (
        t as t,
    )
    from .autograd.functional import (
        take_along_dim as take_along_dim,
    )
    from .autograd.functional import (
        tan as tan,
    )
    from .autograd.functional import (
        tanh as tanh,
    )
    from .autograd.functional import (
        tensor_split as tensor_split,
    )
    from .autograd.functional import (
        tile as tile,
    )
    from .autograd.functional import (
        topk as topk,
    )
    from .autograd.functional import (
        transpose as transpose,
    )
    from .autograd.functional import (
        tril as tril,
    )
    from .autograd.functional import (
        triu as triu,
    )
    from .autograd.functional import (
        true_divide as true_divide,
    )
    from .autograd.functional import (
        trunc as trunc,
    )
    from .autograd.functional import (
        unbind as unbind,
    )
    from .autograd.functional import (
        unflatten as unflatten,
    )
    from .autograd.functional import (
        unsqueeze as unsqueeze,
    )
    from .autograd.functional import (
        var as var,
    )
    from .autograd.functional import (
        var_mean as var_mean,
    )
    from .autograd.functional import (
        where as where,
    )
    from .autograd.grad_mode import (
        enable_grad as enable_grad,
    )
    from .autograd.grad_mode import (
        inference_mode as inference_mode,
    )
    from .autograd.grad_mode import (
        is_grad_enabled as is_grad_enabled,
    )
    from .autograd.grad_mode import (
        is_inference_mode_enabled as is_inference_mode_enabled,
    )
    from .autograd.grad_mode import (
        no_grad as no_grad,
    )
    from .autograd.grad_mode import (
        set_grad_enabled as set_grad_enabled,
    )
    from .autograd.interop import (
        from_dlpack as from_dlpack,
    )
    from .autograd.interop import (
        is_tensor as is_tensor,
    )
    from .autograd.interop import (
        to_dlpack as to_dlpack,
    )
    from .autograd.printing import (
        set_printoptions as set_printoptions,
    )
    from .autograd.promotion import (
        promote_types as promote_types,
    )
    from .autograd.promotion import (
        result_dtype as result_type,
    )
    from .autograd.random import (
        Generator as Generator,
    )
    from .autograd.random import (
        default_generator as default_generator,
    )
    from .autograd.random import (
        get_rng_state as get_rng_state,
    )
    from .autograd.random import (
        initial_seed as initial_seed,
    )
    from .autograd.random import (
        manual_seed as manual_seed,
    )
    from .autograd.random import (
        seed as seed,
    )
    from .autograd.random import (
        set_rng_state as set_rng_state,
    )
    from .autograd.size import (
        Size as Size,
    )
    from .autograd.tensor import (
        Tensor as Tensor,
    )
    from .errors import ConvforgeError as ConvforgeError
    from .runtime import (
        get_num_threads as get_num_threads,
    )
    from .runtime import (
        set_num_threads as set_num_threads,
    )

strided = "strided"
contiguous_format = "contiguous_format"
channels_last = "channels_last"
channels_last_3d = "channels_last_3d"
preserve_format = "preserve_format"
pi, e, inf, nan = math.pi, math.e, math.inf, math.nan

# module: the names it gives, as `public` or `public=its_own_name`.
_TABLE = {
    "autograd.creation": """
        tensor as_tensor asarray from_numpy empty zeros ones full empty_like zeros_like ones_like
        full_like arange linspace logspace eye scalar_tensor complex rand randn randint randperm
        rand_like randn_like randint_like normal bernoulli
    """,
    "autograd.interop": """
        from_dlpack to_dlpack is_tensor
    """,
    "autograd.tensor": """
        Tensor
    """,
    "autograd.size": """
        Size
    """,
    "autograd.grad_mode": """
        no_grad enable_grad set_grad_enabled inference_mode is_grad_enabled is_inference_mode_enabled
    """,
    "autograd.random": """
        Generator default_generator manual_seed initial_seed seed get_rng_state set_rng_state
    """,
    "autograd.printing": """
        set_printoptions
    """,
    "autograd.promotion": """
        result_type=result_dtype promote_types
    """,
    "autograd.dtype": """
        get_default_dtype set_default_dtype uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16
        bfloat16 float32 float64 complex64 complex128 half double short long cfloat cdouble dtype=DType
        bool=bool_ float=float_ int=int_
    """,
    "runtime": """
        set_num_threads get_num_threads
    """,
    "autograd.functional": """
        add sub rsub mul div floor_divide remainder fmod neg positive pow addcmul addcdiv lerp square
        max min amax amin aminmax argmax argmin argsort sort topk median select narrow index_select
        gather scatter scatter_add index_add masked_select take_along_dim cat stack split chunk
        tensor_split unbind tile repeat_interleave flip roll tril triu diagonal diag meshgrid matmul mm
        bmm mv dot outer addmm baddbmm einsum sqrt rsqrt exp exp2 expm1 log log2 log10 log1p sin cos tan
        asin acos atan sinh cosh tanh sigmoid reciprocal relu abs sign sgn floor ceil trunc round frac
        isnan isinf isfinite nan_to_num conj real imag angle erf sum mean prod var std var_mean std_mean
        all any count_nonzero norm cumsum cumprod eq ne lt le gt ge bitwise_and bitwise_or bitwise_xor
        bitwise_not logical_not logical_and logical_or logical_xor equal isclose allclose where maximum
        minimum clamp masked_fill nonzero reshape flatten unflatten ravel permute transpose t movedim
        unsqueeze squeeze broadcast_to broadcast_tensors softmax log_softmax logsumexp clone numel
        is_floating_point is_complex concat concatenate clip absolute moveaxis swapaxes true_divide
        multiply subtract divide negative
    """,
    "autograd.device": """
        device=Device
    """,
    "errors": """
        ConvforgeError
    """,
}
_SUBMODULES = (
    "autograd",
    "nn",
    "optim",
    "cli",
    "errors",
    "plan",
    "problem",
    "reference",
    "runtime",
    "target",
)


def _places() -> dict[str, tuple[str, str]]:
    places: dict[str, tuple[str, str]] = {}
    for module, names in _TABLE.items():
        for entry in names.split():
            public, _, own = entry.partition("=")
            places[public] = (module, own or public)
    return places


_PLACES = _places()


def __getattr__(name: str) -> Any:
    """Import what `name` stands for and keep it."""
    place = _PLACES.get(name)
    if place is not None:
        found = getattr(importlib.import_module(f".{place[0]}", __name__), place[1])
    elif name in _SUBMODULES:
        found = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """All public names, imported or not."""
    return sorted(
        {*(name for name in globals() if not name.startswith("_")), "__version__", *_PLACES, *_SUBMODULES}
    )
