"""`python -m benchmarks scaling`: time an image over batches, a pixel over sizes, compiles over lengths.

convforge alone, without gradient: the module's call, which makes its output, and the same plan into an array
that is there. Images and pixels should cost the same however many there are; they cost more where arrays
leave the caches, and a call costs more than its plan where the system must first find pages for the output.
A signal of another length should cost no compile: the kernels take sizes at run time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.layer_table import load_layers
from benchmarks.machine import cores, describe_machine
from benchmarks.timing import sample_seconds

if TYPE_CHECKING:
    from convforge.problem.spec import ConvSpec

BATCHES = (1, 4, 16, 64)
BATCH_LAYERS = "resnet50 res3a_branch2b,mobilenet_v2 dw3x3_c144_h56_s1,mobilenet_v2 pw_96_576_h14"
SIDES = (512, 1024, 2048, 4096, 8192)
PIXEL_LAYERS: list[tuple[tuple[int, int, int], dict[str, Any]]] = [
    ((3, 3, 3), {"padding": 1}),
    ((4, 4, 5), {"padding": 2, "groups": 4}),
    ((1, 1, 31), {"padding": 15}),
]
LENGTHS = (16000, *(4001 + 997 * step for step in range(24)))
LENGTH_LAYERS: list[tuple[tuple[int, int, int], dict[str, Any]]] = [
    ((64, 128, 2), {"dilation": 512}),
    ((25, 25, 7), {"padding": 6}),
    ((64, 64, 5), {"padding": 2, "groups": 64}),
]
BUDGET_S = 0.25
QUICK_BUDGET_S = 0.03
LABEL_WIDTH = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument(
        "--memory", type=float, default=4.0, metavar="GB", help="largest input and output together (4)"
    )
    parser.add_argument("--quick", action="store_true", help="short, and smaller: shows that it works")


def run(options: argparse.Namespace) -> int:
    """Prints three tables; exit status 1 where a length after the first was compiled for."""
    import convforge
    from convforge import runtime

    convforge.set_num_threads(options.threads)
    budget_s = QUICK_BUDGET_S if options.quick else BUDGET_S
    print(f"float32, {options.threads} thread(s) on {describe_machine()['processor']}")
    with convforge.no_grad(), tempfile.TemporaryDirectory(prefix="convforge-bench-") as folder:
        print_batches(BATCHES[:3] if options.quick else BATCHES, budget_s)
        print_sides(SIDES[:3] if options.quick else SIDES, options.memory * 1e9, budget_s)
        # Kernels of earlier runs would hide a compile.
        runtime.set_cache_dir(folder)
        runtime.cache_clear()
        compiled = print_lengths(LENGTHS[:8] if options.quick else LENGTHS)
    return 1 if compiled else 0


def print_batches(batches: tuple[int, ...], budget_s: float) -> None:
    """Shortest time for an image of each batch, in µs, and in units of batch 1's."""
    print("\nµs an image (in units of batch 1's)")
    print(f"{'batch':<{LABEL_WIDTH}}{''.join(f'{batch:>16}' for batch in batches)}")
    for layer in load_layers(BATCH_LAYERS):
        keywords = layer.arguments()
        arguments = tuple(keywords.pop(name) for name in ("in_channels", "out_channels", "kernel_size"))
        pairs = [
            [seconds / batch for seconds in shortest(arguments, keywords, layer.input_shape(batch), budget_s)]
            for batch in batches
        ]
        print_rows(layer.label, pairs, 1e6)


def print_sides(sides: tuple[int, ...], memory_bytes: float, budget_s: float) -> None:
    """Shortest time for an output pixel (all channels) of each image size, in ns, and of the first's."""
    unit = f"in units of {sides[0]}²'s"
    print(f"\nns a pixel, all channels ({unit}); - where arrays pass {memory_bytes / 1e9:g} GB")
    heads = (f"{side}²" for side in sides)
    print(f"{'image':<{LABEL_WIDTH}}{''.join(f'{head:>16}' for head in heads)}")
    for arguments, keywords in PIXEL_LAYERS:
        pairs: list[list[float] | None] = []
        for side in sides:
            shape = (1, arguments[0], side, side)
            # The output twice: the call's own, and the one that is there.
            fits = 4 * (prod(shape) + 2 * arguments[1] * side * side) <= memory_bytes
            pair = shortest(arguments, keywords, shape, budget_s) if fits else None
            pairs.append(pair and [seconds / side**2 for seconds in pair])
        print_rows(words("Conv2d", arguments, keywords), pairs, 1e9)


def print_lengths(lengths: tuple[int, ...]) -> int:
    """First calls of a 1-d layer for one length after another; returns how many compiled after the first."""
    import convforge
    from convforge import nn

    rest = f"{lengths[1]} to {lengths[-1]}"
    print(f"\nfirst calls of a layer for {len(lengths)} lengths: {lengths[0]}, then {rest}")
    heads = f"{'compiled, first':>17}{'compiled, later':>17}{'first':>12}{'slowest later':>15}"
    print(f"{'layer':<{LABEL_WIDTH}}{heads}")
    later = 0
    for arguments, keywords in LENGTH_LAYERS:
        module = nn.Conv1d(*arguments, **keywords)
        seconds: list[float] = []
        compiled: list[int] = []
        for length in lengths:
            x = convforge.randn(1, arguments[0], length)
            before = kernels_loaded()
            start = time.perf_counter()
            module(x)
            seconds.append(time.perf_counter() - start)
            compiled.append(kernels_loaded() - before)
        later += sum(compiled[1:])
        print(
            f"{words('Conv1d', arguments, keywords):<{LABEL_WIDTH}}{compiled[0]:>17}{sum(compiled[1:]):>17}"
            f"{seconds[0] * 1e3:>9.1f} ms{max(seconds[1:]) * 1e3:>12.2f} ms",
            flush=True,
        )
    return later


def kernels_loaded() -> int:
    """Kernels in this process: with an empty cache folder each was compiled."""
    from convforge import runtime

    return runtime.cache_info()["loaded"]


def shortest(
    arguments: tuple[Any, ...], keywords: dict[str, Any], shape: tuple[int, ...], budget_s: float
) -> list[float]:
    """Seconds of a Conv2d's call, and of its plan into an array that is there."""
    import convforge
    from convforge import nn, plan

    module, x = nn.Conv2d(*arguments, **keywords), convforge.randn(*shape)
    source, weight, bias = (tensor.detach().numpy() for tensor in (x, module.weight, module.bias))
    out = module(x).numpy()
    prepared = plan.Prepared(conv_spec(source, weight, keywords))

    def into_out() -> object:
        return prepared(source, weight, bias, "never changes", out=out)

    return [min(sample_seconds(call, budget_s)) for call in (lambda: module(x), into_out)]


def conv_spec(x: np.ndarray, weight: np.ndarray, keywords: dict[str, Any]) -> ConvSpec:
    """A Conv2d of these arrays as the planner sees it."""
    from convforge import problem

    chosen = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | keywords
    spec, _ = problem.normalize_conv(
        x.shape, weight.shape, (weight.shape[0],), rank=2, dtype=x.dtype, **chosen
    )
    return spec


def print_rows(label: str, pairs: Sequence[list[float] | None], unit: float) -> None:
    """A row for the call and one for its plan: `12.3 (1.05)`, in a unit and against the row's first."""
    for kind, name in enumerate((label, "  into memory that is there")):
        seconds = [pair and pair[kind] for pair in pairs]
        first = seconds[0]
        texts = ("-" if each is None else f"{each * unit:.4g} ({each / first:.2f})" for each in seconds)
        print(f"{name:<{LABEL_WIDTH}}{''.join(f'{text:>16}' for text in texts)}", flush=True)


def words(name: str, arguments: tuple[int, ...], keywords: dict[str, Any]) -> str:
    """`Conv2d(3, 3, 3, padding=1)`"""
    parts = [*map(str, arguments), *(f"{key}={value}" for key, value in keywords.items())]
    return f"{name}({', '.join(parts)})"
