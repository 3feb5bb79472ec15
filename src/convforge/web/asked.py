"""What came with a question, read into values that may be trusted: a layer, an input size, numbers.

What the library refuses is refused with the library's own words; the bounds here are only what keeps a page
that anyone can type into from filling the memory.
"""

from __future__ import annotations

import math
import re
import threading
from dataclasses import dataclass
from typing import Any

from convforge.errors import ConvforgeError, ConvTypeError, ConvValueError
from convforge.explain.layers import as_layer
from convforge.problem import ConvLayer, ConvSpec, normalize_layer
from convforge.web.numbers import Numbers

# What a page can show, and Python answers in a tenth of a second.
LARGEST_SIDE, LARGEST_CHANNELS = 64, 1024
LARGEST_ARRAY = 1 << 16
LARGEST_WORK = 1 << 24
LARGEST_PADDED = 1 << 9

PARAMETERS = (
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "output_padding",
    "dilation",
    "groups",
    "bias",
    "padding_mode",
)
# What stands in an error message, and the control that it is about; longer names first.
_NAMED = re.compile(
    r"\b(in_channels|out_channels|kernel_size|output_padding|padding_mode|input_size|padding|stride|dilation|"
    r"groups|seed)\b|(Kernel size:)|(Invalid padding)|(Calculated output size)|(spatial size)"
)
_MEANT = ("", "", "kernel_size", "padding", "padding", "input_size")


# Real convolutions run one after another: a page in a loop cannot take the whole machine, and times are true.
one_at_a_time = threading.Lock()


class BadRequestError(Exception):
    """A question that is not one: not what the page would ask. Its text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The library's own words, and the parameters that they name, the first one first."""

    text: str
    names: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """{"error": "groups (=3) must …", "names": ["groups", "in_channels"]}"""
        return {"error": self.text, "names": list(self.names)}


def refusal_of(error: ConvforgeError) -> Refusal:
    """An error of the library, with the parameters that it names."""
    text = " ".join(str(error).split())
    names = [found[1] or _MEANT[found.lastindex or 0] for found in _NAMED.finditer(text)]
    return Refusal(text, tuple(dict.fromkeys(names)))


def member(question: dict[str, Any], name: str, kind: type | tuple[type, ...], what: str) -> Any:
    """question[name]; BadRequestError where it is missing or of another kind than `what` says."""
    value = question.get(name)
    # bool is an int to Python, and no number to anybody else.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise BadRequestError(f"{name} must be {what}")
    return value


def layer_asked(question: dict[str, Any]) -> ConvLayer:
    """The layer: `layer` is PyTorch's spelling, or an object with its parameters, `rank` and `transposed`.

    {"layer": "Conv2d(3, 64, 3)"}, {"layer": {"rank": 2, "transposed": false, "in_channels": 3, …}}

    Raises ConvforgeError where the library refuses it.
    """
    asked = member(question, "layer", (str, dict), "PyTorch's spelling or an object of parameters")
    if isinstance(asked, str):
        layer = as_layer(asked)
    else:
        rank = member(asked, "rank", int, "1, 2 or 3")
        if rank not in (1, 2, 3):
            raise BadRequestError("rank must be 1, 2 or 3")
        transposed = member(asked, "transposed", bool, "true or false")
        unknown = sorted(set(asked) - {"rank", "transposed", *PARAMETERS})
        if unknown:
            raise BadRequestError(f"layer.{unknown[0][:40]} is no parameter")
        arguments = {name: asked[name] for name in PARAMETERS if name in asked}
        for name in ("in_channels", "out_channels", "kernel_size"):
            if name not in arguments:
                raise BadRequestError(f"layer.{name} is missing")
        bias = arguments.get("bias", True)
        if not isinstance(bias, bool):
            raise ConvTypeError(f"bias (={bias!r}) must be True or False: use bias=True")
        layer = normalize_layer(**arguments, rank=rank, transposed=transposed)
    for name, channels in (("in_channels", layer.in_channels), ("out_channels", layer.out_channels)):
        _at_most(name, channels, LARGEST_CHANNELS)
    return layer


def counted_layer(question: dict[str, Any]) -> ConvLayer:
    """As `layer_asked`, of sizes whose counts and receptive fields take milliseconds."""
    layer = layer_asked(question)
    for name in ("kernel_size", "stride", "dilation"):
        _at_most(name, max(getattr(layer, name)), LARGEST_SIDE)
    return layer


def size_asked(question: dict[str, Any], rank: int, largest: int = LARGEST_SIDE) -> tuple[int, ...]:
    """input_size, one whole number an axis. Raises ConvforgeError for a value out of range."""
    sizes = member(question, "input_size", list, f"a list of {rank} numbers")
    if len(sizes) != rank:
        raise BadRequestError(f"input_size must be a list of {rank} numbers")
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int):
            raise ConvTypeError(f"input_size (={size!r}) must be an int, not {type(size).__name__}: use 7")
        if size < 1:
            raise ConvValueError(f"input_size (={size}) must be at least 1: use input_size=1 or more")
        _at_most("input_size", size, largest)
    return tuple(sizes)


def spec_asked(layer: ConvLayer, size: tuple[int, ...]) -> ConvSpec:
    """What the layer does to one input of this size, if it is small enough to be shown number by number.

    Raises ConvforgeError where the library refuses it, or this page does.
    """
    spec = layer.spec(size, dtype="float64")
    arrays = {
        "kernel_size": (spec.weight_shape, "weights"),
        "input_size": (spec.input_shape, "input elements"),
        "stride": (spec.output_shape, "output elements"),
    }
    for name, (shape, what) in arrays.items():
        if math.prod(shape) > LARGEST_ARRAY:
            raise ConvValueError(
                f"{name} makes {math.prod(shape)} {what}, more than the {LARGEST_ARRAY} that this page "
                "shows: use smaller sizes or fewer channels"
            )
    inner = spec.output_size if spec.transposed else spec.input_size
    for (before, after), side in zip(spec.padding, inner, strict=True):
        if before + side + after > LARGEST_PADDED:
            raise ConvValueError(
                f"padding (={(before, after)}) makes a side of {before + side + after}, more than the "
                f"{LARGEST_PADDED} that this page shows: use less padding"
            )
    windows = math.prod(spec.input_shape if spec.transposed else spec.output_shape)
    others = spec.out_channels if spec.transposed else spec.in_channels
    work = windows * others // spec.groups * math.prod(spec.kernel_size)
    if work > LARGEST_WORK:
        raise ConvValueError(
            f"kernel_size and channels make {work} multiplications, more than the {LARGEST_WORK} that this "
            "page does: use smaller sizes or fewer channels"
        )
    return spec


def numbers_asked(question: dict[str, Any]) -> Numbers:
    """How to fill the arrays: {"seed": 0, "input": "random", "weight": "ones"}; each may be left out."""
    asked = question.get("numbers", {})
    if not isinstance(asked, dict) or set(asked) - {"seed", "input", "weight"}:
        raise BadRequestError("numbers must be an object with seed, input and weight")
    seed = asked.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ConvTypeError(f"seed (={seed!r}) must be an int, not {type(seed).__name__}: use seed=0")
    return Numbers(seed, asked.get("input", "random"), asked.get("weight", "random"))


def _at_most(name: str, value: int, most: int) -> None:
    if value > most:
        raise ConvValueError(
            f"{name} (={value}) must be at most {most} on this page: use {name}={most} or less"
        )
