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
    from . import autograd as autograd, nn as nn, optim as optim
    from .autograd.creation import (
        arange as arange,
        as_tensor as as_tensor,
        asarray as asarray,
        complex as complex,
        empty as empty,
        empty_like as empty_like,
        eye as eye,
        from_numpy as from_numpy,
        full as full,
        full_like as full_like,
        linspace as linspace,
        logspace as logspace,
        ones as ones,
        ones_like as ones_like,
        scalar_tensor as scalar_tensor,
        tensor as tensor,
        zeros as zeros,
        zeros_like as zeros_like,
    )
    from .autograd.device import Device as device
    from .autograd.dtype import (
        DType as dtype,
        bfloat16 as bfloat16,
        bool_ as bool,
        cdouble as cdouble,
        cfloat as cfloat,
        complex64 as complex64,
        complex128 as complex128,
        double as double,
        float16 as float16,
        float32 as float32,
        float64 as float64,
        float_ as float,
        get_default_dtype as get_default_dtype,
        half as half,
        int8 as int8,
        int16 as int16,
        int32 as int32,
        int64 as int64,
        int_ as int,
        long as long,
        set_default_dtype as set_default_dtype,
        short as short,
        uint8 as uint8,
        uint16 as uint16,
        uint32 as uint32,
        uint64 as uint64,
    )
    from .autograd.functional import (
        abs as abs,
        absolute as absolute,
        acos as acos,
        add as add,
        addcdiv as addcdiv,
        addcmul as addcmul,
        addmm as addmm,
        all as all,
        allclose as allclose,
        amax as amax,
        amin as amin,
        aminmax as aminmax,
        angle as angle,
        any as any,
        argmax as argmax,
        argmin as argmin,
        argsort as argsort,
        asin as asin,
        atan as atan,
        baddbmm as baddbmm,
        bitwise_and as bitwise_and,
        bitwise_not as bitwise_not,
        bitwise_or as bitwise_or,
        bitwise_xor as bitwise_xor,
        bmm as bmm,
        broadcast_tensors as broadcast_tensors,
        broadcast_to as broadcast_to,
        cat as cat,
        ceil as ceil,
        chunk as chunk,
        clamp as clamp,
        clip as clip,
        clone as clone,
        concat as concat,
        concatenate as concatenate,
        conj as conj,
        cos as cos,
        cosh as cosh,
        count_nonzero as count_nonzero,
        cumprod as cumprod,
        cumsum as cumsum,
        diag as diag,
        diagonal as diagonal,
        div as div,
        divide as divide,
        dot as dot,
        einsum as einsum,
        eq as eq,
        equal as equal,
        erf as erf,
        exp as exp,
        exp2 as exp2,
        expm1 as expm1,
        flatten as flatten,
        flip as flip,
        floor as floor,
        floor_divide as floor_divide,
        fmod as fmod,
        frac as frac,
        gather as gather,
        ge as ge,
        gt as gt,
        imag as imag,
        index_add as index_add,
        index_copy as index_copy,
        index_fill as index_fill,
        index_put as index_put,
        index_select as index_select,
        is_complex as is_complex,
        is_floating_point as is_floating_point,
        isclose as isclose,
        isfinite as isfinite,
        isinf as isinf,
        isnan as isnan,
        le as le,
        lerp as lerp,
        log as log,
        log1p as log1p,
        log2 as log2,
        log10 as log10,
        log_softmax as log_softmax,
        logical_and as logical_and,
        logical_not as logical_not,
        logical_or as logical_or,
        logical_xor as logical_xor,
        logsumexp as logsumexp,
        lt as lt,
        masked_fill as masked_fill,
        masked_select as masked_select,
        matmul as matmul,
        max as max,
        maximum as maximum,
        mean as mean,
        median as median,
        meshgrid as meshgrid,
        min as min,
        minimum as minimum,
        mm as mm,
        moveaxis as moveaxis,
        movedim as movedim,
        mul as mul,
        multiply as multiply,
        mv as mv,
        nan_to_num as nan_to_num,
        nanmean as nanmean,
        nansum as nansum,
        narrow as narrow,
        ne as ne,
        neg as neg,
        negative as negative,
        nonzero as nonzero,
        norm as norm,
        numel as numel,
        outer as outer,
        permute as permute,
        positive as positive,
        pow as pow,
        prod as prod,
        ravel as ravel,
        real as real,
        reciprocal as reciprocal,
        relu as relu,
        remainder as remainder,
        repeat_interleave as repeat_interleave,
        reshape as reshape,
        roll as roll,
        round as round,
        rsqrt as rsqrt,
        rsub as rsub,
        scatter as scatter,
        scatter_add as scatter_add,
        select as select,
        sgn as sgn,
        sigmoid as sigmoid,
        sign as sign,
        sin as sin,
        sinh as sinh,
        softmax as softmax,
        sort as sort,
        split as split,
        sqrt as sqrt,
        square as square,
        squeeze as squeeze,
        stack as stack,
        std as std,
        std_mean as std_mean,
        sub as sub,
        subtract as subtract,
        sum as sum,
        swapaxes as swapaxes,
        t as t,
        take_along_dim as take_along_dim,
        tan as tan,
        tanh as tanh,
        tensor_split as tensor_split,
        tile as tile,
        topk as topk,
        transpose as transpose,
        tril as tril,
        triu as triu,
        true_divide as true_divide,
        trunc as trunc,
        unbind as unbind,
        unflatten as unflatten,
        unsqueeze as unsqueeze,
        var as var,
        var_mean as var_mean,
        where as where,
    )
    from .autograd.grad_mode import (
        enable_grad as enable_grad,
        inference_mode as inference_mode,
        is_grad_enabled as is_grad_enabled,
        is_inference_mode_enabled as is_inference_mode_enabled,
        no_grad as no_grad,
        set_grad_enabled as set_grad_enabled,
    )
    from .autograd.interop import (
        from_dlpack as from_dlpack,
        is_tensor as is_tensor,
        to_dlpack as to_dlpack,
        typename as typename,
    )
    from .autograd.limits import finfo as finfo, iinfo as iinfo
    from .autograd.printing import (
        set_printoptions as set_printoptions,
    )
    from .autograd.promotion import (
        promote_types as promote_types,
        result_dtype as result_type,
    )
    from .autograd.quantized import (
        QTensor as QTensor,
        per_channel_affine as per_channel_affine,
        per_channel_symmetric as per_channel_symmetric,
        per_tensor_affine as per_tensor_affine,
        per_tensor_symmetric as per_tensor_symmetric,
        qint8 as qint8,
        quantize_per_channel as quantize_per_channel,
        quantize_per_tensor as quantize_per_tensor,
        quint8 as quint8,
    )
    from .autograd.random import (
        Generator as Generator,
        default_generator as default_generator,
        get_rng_state as get_rng_state,
        initial_seed as initial_seed,
        manual_seed as manual_seed,
        seed as seed,
        set_rng_state as set_rng_state,
    )
    from .autograd.sampling import (
        bernoulli as bernoulli,
        normal as normal,
        rand as rand,
        rand_like as rand_like,
        randint as randint,
        randint_like as randint_like,
        randn as randn,
        randn_like as randn_like,
        randperm as randperm,
    )
    from .autograd.size import (
        Size as Size,
    )
    from .autograd.tensor import (
        Tensor as Tensor,
    )
    from .errors import ConvforgeError as ConvforgeError
    from .nn.tuning import tune as tune
    from .plan.search.tuner import tuning as tuning
    from .problem.precision import (
        get_float32_matmul_precision as get_float32_matmul_precision,
        precision as precision,
        set_float32_matmul_precision as set_float32_matmul_precision,
    )
    from .runtime import (
        get_num_threads as get_num_threads,
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
        full_like arange linspace logspace eye scalar_tensor complex
    """,
    "autograd.sampling": """
        rand randn randint randperm rand_like randn_like randint_like normal bernoulli
    """,
    "autograd.interop": """
        from_dlpack to_dlpack is_tensor typename
    """,
    "autograd.limits": """
        finfo iinfo
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
    "nn.tuning": """
        tune
    """,
    "plan.search.tuner": """
        tuning
    """,
    "problem.precision": """
        set_float32_matmul_precision get_float32_matmul_precision precision
    """,
    "runtime": """
        set_num_threads get_num_threads
    """,
    "autograd.functional": """
        add sub rsub mul div floor_divide remainder fmod neg positive pow addcmul addcdiv lerp square
        max min amax amin aminmax argmax argmin argsort sort topk median select narrow index_select
        gather scatter scatter_add index_add index_put index_fill index_copy nansum nanmean masked_select
        take_along_dim cat stack split chunk
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
    "autograd.quantized": """
        quantize_per_tensor quantize_per_channel quint8 qint8 QTensor per_tensor_affine
        per_tensor_symmetric per_channel_affine per_channel_symmetric
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
    "draw",
    "errors",
    "explain",
    "memory",
    "plan",
    "problem",
    "reference",
    "runtime",
    "target",
    "web",
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
