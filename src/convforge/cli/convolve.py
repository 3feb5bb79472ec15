"""Builds the layer that the command line describes, and runs it on photographs."""

from __future__ import annotations

import contextlib
import math
import os
import time
import warnings
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from convforge import plan, problem
from convforge.autograd.grad_mode import no_grad
from convforge.autograd.random import manual_seed
from convforge.autograd.tensor import from_data
from convforge.cli.failure import CliError, reason
from convforge.cli.filters import Shows, named_filter, spread
from convforge.cli.kernel_file import is_kernel_file, pick_weight, read_kernel
from convforge.errors import ConvTypeError
from convforge.explain.formula import size_formula
from convforge.explain.layers import bind_layer
from convforge.explain.spelling import LayerText

REPEAT_S = 0.2
# What layers raise for arguments they cannot take; AssertionError for device="cuda", as PyTorch without CUDA.
REFUSALS = (ValueError, TypeError, RuntimeError, OverflowError, MemoryError, AssertionError)
DEFAULT_INIT = "default"
INITS = (
    DEFAULT_INIT,
    "xavier_normal",
    "xavier_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "normal",
    "uniform",
    "trunc_normal",
    "orthogonal",
    "dirac",
    "ones",
    "zeros",
)
Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ReadyLayer:
    """A layer with its weights. Two modules for a filter of two directions, else one.

    `weights_from` says where the weights come from: "seed 2, xavier_normal", "sobel", a file.
    """

    text: str
    modules: tuple[Any, ...]
    in_channels: int
    shows: Shows
    weights_from: str

    def kernels(self) -> tuple[Array, ...]:
        """The first output channel's weights: (kh, kw) for each input channel that it reads."""
        module = self.modules[0]
        weight: Array = module.weight.detach().numpy()
        if module.transposed:
            return tuple(weight[: module.in_channels // module.groups, 0])
        return tuple(weight[0])


@dataclass(frozen=True, slots=True)
class Applied:
    """The layer's answer for one photograph. output: (1, out_channels, height, width).

    `best_s` is the shortest of repeated calls, `first_s` the first one, in which a kernel may be forged.
    """

    spec: problem.ConvSpec
    output: Array
    formula: list[str]
    kernel: str
    first_s: float
    best_s: float


def build_layer(layer: LayerText, channels: int, *, kernel: str | None, init: str, seed: int) -> ReadyLayer:
    """The layer with its weights: from a filter or file if `kernel` is given, else drawn with the seed.

    channels: what the photograph has; used by the lazy forms, which leave it open.

    Raises CliError where PyTorch's layer would refuse its arguments, or the kernel does not fit them.
    """
    if layer.rank != 2:
        size = "(N, C, length)" if layer.rank == 1 else "(N, C, depth, height, width)"
        raise CliError(
            f'--layer "{layer.text}": takes {size} and a photograph is (1, {channels}, height, width): '
            f"write {layer.name.replace(str(layer.rank), '2')}, or call the layer from Python"
        )
    with refusals_of(layer):
        manual_seed(seed)
        module = construct(layer, channels)
    shape = tuple(module.weight.shape)
    transposed = "Transpose" in layer.name
    if kernel is None:
        if init != DEFAULT_INIT:
            fill(module, init, layer)
        return ReadyLayer(repr(module), (module,), module.in_channels, "any", f"seed {seed}, {init}")
    if is_kernel_file(kernel):
        weight, bias = pick_weight(read_kernel(kernel), shape, kernel)
        if weight.ndim == 2:
            weight = spread(weight, shape, groups=module.groups, transposed=transposed)
        weights, shows = [weight], "any"
    else:
        known = named_filter(kernel, tuple(module.kernel_size))
        weights = [spread(grid, shape, groups=module.groups, transposed=transposed) for grid in known.grids]
        shows, bias = known.shows, None
    modules = tuple(
        with_weight(module if number == 0 else construct(layer, channels), weight, bias)
        for number, weight in enumerate(weights)
    )
    return ReadyLayer(repr(module), modules, module.in_channels, shows, kernel)


def construct(layer: LayerText, channels: int) -> Any:
    """The module. A lazy form is built at once, as the photograph says what it leaves open."""
    try:
        kind, bound = bind_layer(layer, channels)
    except ConvTypeError as error:
        raise CliError(f"--layer {error}") from None
    refuse_huge_weights(layer, bound.arguments)
    return kind(*bound.args, **bound.kwargs)


def refuse_huge_weights(layer: LayerText, arguments: dict[str, Any]) -> None:
    """Refuses a weight that cannot fit into memory before it is drawn."""
    kernel = arguments["kernel_size"]
    sizes = (*kernel,) if isinstance(kernel, tuple | list) else (kernel, kernel)
    counts = (arguments["in_channels"], arguments["out_channels"], *sizes)
    if all(isinstance(count, int) and count > 0 for count in counts):
        groups = arguments.get("groups", 1)
        refuse_huge(
            4 * math.prod(counts) // (groups if isinstance(groups, int) and groups > 0 else 1),
            f'--layer "{layer.text}": the weight',
            "use fewer channels or a smaller kernel",
        )


def refuse_huge(size_bytes: int, what: str, fix: str) -> None:
    """Raises CliError where an array would not fit into half of the machine's memory."""
    limit_bytes = memory_bytes() // 2
    if size_bytes > limit_bytes:
        raise CliError(
            f"{what} would take {size_bytes / 2**30:.1f} GiB, more than half of the memory here "
            f"({limit_bytes / 2**30:.1f} GiB): {fix}"
        )


def memory_bytes() -> int:
    """Physical memory; 8 GiB where the system does not tell."""
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" in names and "SC_PAGE_SIZE" in names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 8 << 30


@contextlib.contextmanager
def refusals_of(layer: LayerText) -> Generator[None]:
    """The layer's own refusals, as one line that begins with its text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of layers without weights, which are refused below
            yield
    except CliError:
        raise
    except REFUSALS as error:
        raise CliError(f'--layer "{layer.text}": {reason(error)}') from None


def fill(module: Any, init: str, layer: LayerText) -> None:
    """Draws the weight anew, as `nn.init.NAME_(layer.weight)` does; the bias keeps its default."""
    from convforge.nn import init as fillers

    with refusals_of(layer):
        getattr(fillers, f"{init}_")(module.weight)


def with_weight(module: Any, weight: Array, bias: Array | None) -> Any:
    """The module with this weight, and this bias or none."""
    if bias is not None and (module.bias is None or bias.shape != tuple(module.bias.shape)):
        bias = None
    with no_grad():
        module.weight.copy_(from_data(np.ascontiguousarray(weight)))
        if module.bias is not None:
            module.bias.copy_(from_data(np.zeros(module.bias.shape, np.float32) if bias is None else bias))
    return module


def apply_layer(ready: ReadyLayer, pixels: Array, name: str) -> Applied:
    """Runs the layer on one photograph, (height, width, channels), and times it.

    Raises CliError where the layer cannot take this size.
    """
    x = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
    module = ready.modules[0]
    try:
        spec, _ = problem.normalize_conv(
            x.shape,
            tuple(module.weight.shape),
            None if module.bias is None else tuple(module.bias.shape),
            module.stride,
            module.padding,
            module.dilation,
            module.groups,
            rank=2,
            transposed=module.transposed,
            output_padding=module.output_padding,
            padding_mode=module.padding_mode,
            dtype=x.dtype,
        )
        if 0 in spec.output_shape:
            raise CliError(
                f"{name}: the result of size {list(spec.output_size)} has no pixels: use less padding"
            )
        refuse_huge(
            4 * math.prod(spec.output_shape), f"{name}: the result", "use a smaller photograph or stride"
        )
        answers: list[Array] = []
        firsts: list[float] = []
        bests: list[float] = []
        with no_grad():
            tensor = from_data(x)
            for one in ready.modules:
                first_s, best_s, answer = timed(one, tensor)
                firsts.append(first_s)
                bests.append(best_s)
                answers.append(answer.numpy())
    except CliError:
        raise
    except (ValueError, TypeError, RuntimeError, NotImplementedError, OverflowError, MemoryError) as error:
        raise CliError(f"{name}: {ready.text}: {reason(error)}") from None
    formula = size_formula(spec, tuple(module.stride), tuple(module.dilation))
    output = answers[0] if len(answers) == 1 else np.hypot(*answers)
    return Applied(spec, output, formula, plan.describe(spec), firsts[0], min(bests))


def timed(module: Any, tensor: Any) -> tuple[float, float, Any]:
    """(seconds of the first call, shortest of the calls after it, the answer)."""
    clock = time.perf_counter
    start = clock()
    answer = module(tensor)
    first_s = clock() - start
    best_s = math.inf
    deadline = clock() + REPEAT_S
    while best_s == math.inf or clock() < deadline:
        start = clock()
        module(tensor)
        best_s = min(best_s, clock() - start)
    return first_s, best_s, answer
