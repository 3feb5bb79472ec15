"""The size formula of a layer with its numbers in it."""

from __future__ import annotations

from convforge.problem import ConvSpec

AXES = {1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}


def size_formula(spec: ConvSpec, stride: tuple[int, ...], dilation: tuple[int, ...]) -> list[str]:
    """One line in words, then one an axis with numbers, each ending in the output size.

    stride, dilation: as the layer has them; a spec writes 1 where they make no difference.

    Source: the documentation of torch.nn.Conv2d and ConvTranspose2d, section Shape.
    """
    if spec.transposed:
        words = "out = (in − 1)·stride − padding + dilation·(kernel − 1) + output_padding + 1"
    else:
        words = "out = ⌊(in + padding − dilation·(kernel − 1) − 1) / stride⌋ + 1"
    return [words, *(axis_formula(spec, axis, stride[axis], dilation[axis]) for axis in range(spec.rank))]


def axis_formula(spec: ConvSpec, axis: int, stride: int, dilation: int) -> str:
    """`H: ⌊(600 + 2·1 − 1·(3 − 1) − 1) / 2⌋ + 1 = 300`."""
    size, kernel = spec.input_size[axis], spec.kernel_size[axis]
    before, after = spec.padding[axis]
    padding = f"2·{before}" if before == after else f"({before} + {after})"
    if spec.transposed:
        extra = spec.output_padding[axis]
        numbers = f"({size} − 1)·{stride} − {padding} + {dilation}·({kernel} − 1) + {extra} + 1"
    else:
        numbers = f"⌊({size} + {padding} − {dilation}·({kernel} − 1) − 1) / {stride}⌋ + 1"
    return f"{AXES[spec.rank][axis]}: {numbers} = {spec.output_size[axis]}"
