"""Bad arguments of convolutions: PyTorch's exception type, argument and fix named, the process alive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import convforge.nn.functional.conv as functional
from convforge.errors import ConvforgeError
from support.torch_oracle import torch

IMAGE, KERNEL, TRANSPOSED = (2, 4, 7, 7), (6, 4, 3, 3), (4, 6, 3, 3)


@dataclass(frozen=True)
class Bad:
    """A call that must be refused.

    names: what the message must hold. torch_agrees: False where PyTorch accepts, crashes, or has no such
    argument.
    """

    name: str
    error: type[Exception]
    names: str
    arguments: dict[str, Any] = field(default_factory=dict)
    function: str = "conv2d"
    input: tuple[int, ...] = IMAGE
    weight: tuple[int, ...] | None = None
    bias: tuple[int, ...] | None = None
    dtypes: tuple[str, str, str] = ("float32", "float32", "float32")
    torch_agrees: bool = True

    def call(self, functional: Any, array: Callable[[tuple[int, ...], str], Any]) -> Any:
        default = TRANSPOSED if "transpose" in self.function else KERNEL
        operands = [
            None if shape is None else array(shape, dtype)
            for shape, dtype in zip((self.input, self.weight or default, self.bias), self.dtypes, strict=True)
        ]
        return getattr(functional, self.function)(*operands, **self.arguments)


def argument(name: str, value: Any, error: type[Exception] = RuntimeError, **more: Any) -> Bad:
    return Bad(f"{name}={value!r}", error, name, {name: value}, **more)


T = {"function": "conv_transpose2d"}
REFLECT = {"padding": 7, "padding_mode": "reflect"}
CIRCULAR = {"padding": 8, "padding_mode": "circular"}
HUGE = {"dilation": 2**29, "output_padding": 1879048192}
BAD = [
    *[argument(name, value) for name in ("stride", "dilation", "groups") for value in (0, -1)],
    argument("stride", (1, 0)),
    argument("padding", -1),
    argument("padding", (0, -1)),
    *[argument(name, value) for name in ("stride", "padding", "dilation") for value in ([], (1, 1, 1))],
    *[argument(name, 2**63, ValueError) for name in ("stride", "padding", "dilation", "groups")],
    *[argument(name, -(2**63) - 1, ValueError) for name in ("stride", "padding", "dilation", "groups")],
    argument("padding", 9223372036854775803),
    argument("padding", 2**62),
    argument("padding", 2**31),
    Bad("dilation 2^31", RuntimeError, "dilation", {"dilation": 2**31}),
    Bad("dilation 2^62", RuntimeError, "dilation", {"dilation": 2**62}),
    argument("groups", 3),
    argument("groups", 2**31),
    *[
        argument(name, value, TypeError)
        for name in ("stride", "dilation")
        for value in (1.0, True, "2", None)
    ],
    *[argument(name, value, TypeError) for name in ("padding", "groups") for value in (1.0, True, None)],
    argument("groups", (1,), TypeError),
    argument("stride", (1.0, 1.0), TypeError),
    argument("stride", (True, True), TypeError),
    argument("stride", np.array([2, 2]), TypeError),
    argument("padding", "foo"),
    argument("padding", "causal"),
    argument("padding", ((1, 1), (1, 1), (1, 1)), RuntimeError, torch_agrees=False),
    argument("padding", ((1, 1, 1), (1, 1)), RuntimeError, torch_agrees=False),
    argument("padding", ((1, -1), (1, 1)), RuntimeError, torch_agrees=False),
    argument("padding", ((1, 0.5), (1, 1)), TypeError),
    argument("padding_mode", "mirror", ValueError, torch_agrees=False),
    argument("padding_mode", None, ValueError, torch_agrees=False),
    Bad("reflect as large as the input", RuntimeError, "padding", REFLECT, torch_agrees=False),
    Bad("circular larger than the input", RuntimeError, "padding", CIRCULAR, torch_agrees=False),
    Bad("five axes", RuntimeError, "input", input=(1, 1, 4, 7, 7)),
    Bad("two axes", RuntimeError, "input", input=(7, 7)),
    Bad("channels", RuntimeError, "channels", input=(2, 3, 7, 7)),
    Bad("channels, unbatched", RuntimeError, "channels", input=(3, 7, 7)),
    Bad("weight of three axes", RuntimeError, "weight", weight=(6, 4, 3)),
    Bad("kernel larger than the padded input", RuntimeError, "Kernel size", input=(1, 4, 2, 2)),
    Bad("dilated kernel larger than the input", RuntimeError, "dilation", {"dilation": 4}),
    Bad("bias of wrong length", RuntimeError, "bias", bias=(5,)),
    Bad("bias of two axes", RuntimeError, "bias", bias=(6, 1)),
    Bad("bias of no axes", RuntimeError, "bias", bias=()),
    Bad("no kernel", RuntimeError, "kernel_size", weight=(6, 4, 0, 3)),
    Bad("no output channels", RuntimeError, "channel", weight=(0, 4, 3, 3)),
    Bad("no input channels in weight", RuntimeError, "channels", weight=(6, 0, 3, 3)),
    Bad("no input rows", RuntimeError, "input", {"padding": 2}, input=(2, 4, 0, 7)),
    Bad("groups do not divide outputs", RuntimeError, "groups", {"groups": 2}, weight=(3, 2, 3, 3)),
    Bad("mixed floats", RuntimeError, "weight type", dtypes=("float32", "float64", "float32")),
    Bad("integer input", RuntimeError, "weight type", dtypes=("int64", "float32", "float32")),
    Bad("half input", RuntimeError, "weight type", dtypes=("float16", "float32", "float32")),
    Bad("mixed bias", RuntimeError, "bias type", bias=(6,), dtypes=("float32", "float32", "float64")),
    Bad("bool", NotImplementedError, "bool", dtypes=("bool", "bool", "bool")),
    Bad("wide unsigned", NotImplementedError, "uint16", dtypes=("uint16", "uint16", "uint16")),
    Bad("1-d convolution of an image", RuntimeError, "input", function="conv1d", weight=(6, 4, 3)),
    Bad("3-d convolution of an image", RuntimeError, "weight", function="conv3d"),
    *[argument(name, value, **T) for name in ("stride", "dilation", "groups") for value in (0, -1)],
    argument("padding", -1, **T),
    argument("output_padding", -1, **T),
    argument("output_padding", 1, **T),
    argument("output_padding", [], **T),
    argument("output_padding", 0.0, TypeError, **T),
    Bad("output_padding as stride", RuntimeError, "output_padding", {"output_padding": 2, "stride": 2}, **T),
    Bad(
        "output_padding 1879048192",
        RuntimeError,
        "output_padding",
        {"dilation": 2**29, "output_padding": 1879048192},
        **T,
    ),
    argument("stride", 2**63, ValueError, **T),
    argument("stride", 2**62, **T),
    argument("dilation", 2**62, **T),
    argument("padding", 5, **T),
    argument("padding", "same", TypeError, **T),
    argument("groups", 3, **T),
    argument("output_size", (13, 13), ValueError, torch_agrees=False, **T),
    argument("output_size", (), ValueError, torch_agrees=False, **T),
    argument("output_size", (9.0, 9), TypeError, torch_agrees=False, **T),
    Bad("transposed channels", RuntimeError, "channels", input=(2, 3, 7, 7), **T),
    Bad("transposed bias", RuntimeError, "bias", bias=(4,), **T),
    Bad("transposed, no rows", RuntimeError, "input", input=(1, 4, 0, 7), **T),
    Bad("transposed, no outputs", RuntimeError, "channels", weight=(4, 0, 3, 3), **T),
    Bad("transposed, no inputs", RuntimeError, "channel", input=(2, 0, 7, 7), weight=(0, 4, 3, 3), **T),
]


@pytest.mark.parametrize("bad", BAD, ids=[f"{bad.function} {bad.name}" for bad in BAD])
def test_bad_arguments_are_refused(bad: Bad) -> None:
    with pytest.raises(bad.error) as caught:
        bad.call(functional, lambda shape, dtype: np.ones(shape, dtype))
    assert isinstance(caught.value, ConvforgeError)
    message = str(caught.value)
    assert bad.names in message
    assert ":" in message, "a message ends with the fix, after a colon"
    # Twice: a refusal must not leave anything behind that lets the next call pass.
    with pytest.raises(bad.error):
        bad.call(functional, lambda shape, dtype: np.ones(shape, dtype))


@pytest.mark.skipif(torch is None, reason="PyTorch is not installed")
@pytest.mark.parametrize(
    "bad", [bad for bad in BAD if bad.torch_agrees], ids=lambda bad: f"{bad.function} {bad.name}"
)
def test_the_types_are_pytorchs(bad: Bad) -> None:
    with pytest.raises(bad.error):
        bad.call(torch.nn.functional, lambda shape, dtype: torch.ones(shape, dtype=getattr(torch, dtype)))


@pytest.mark.parametrize(
    ("dtype", "error"),
    [
        (object, TypeError),
        ("U3", TypeError),
        (np.longdouble, TypeError),
        ("M8[s]", TypeError),
        (bool, NotImplementedError),
    ],
)
def test_arrays_without_numbers(dtype: Any, error: type[Exception]) -> None:
    if np.dtype(dtype) == np.float64:
        pytest.skip("here a long double is a double")
    with pytest.raises(error, match="dtype"):
        functional.conv2d(np.zeros(IMAGE, dtype), np.zeros(KERNEL, dtype))


@pytest.mark.parametrize("thing", [None, 3, [[1.0]], "image", {}])
def test_what_is_no_array(thing: Any) -> None:
    with pytest.raises(TypeError, match="input"):
        functional.conv2d(thing, np.ones(KERNEL))
    with pytest.raises(TypeError, match="weight"):
        functional.conv2d(np.ones(IMAGE), thing)


def test_masked_arrays_are_refused() -> None:
    with pytest.raises(TypeError, match="mask"):
        functional.conv2d(np.ma.masked_array(np.ones(IMAGE)), np.ones(KERNEL))


def test_a_rejected_value_is_not_found_under_an_equal_key() -> None:
    x, weight = np.ones(IMAGE), np.ones(KERNEL)
    functional.conv2d(x, weight, stride=1, groups=1)
    for wrong in (True, 1.0, (True, 1), (1.0, 1)):
        with pytest.raises(TypeError):
            functional.conv2d(x, weight, stride=wrong)
    with pytest.raises(TypeError):
        functional.conv2d(x, weight, groups=True)


def test_out_is_checked() -> None:
    x, weight = np.ones(IMAGE, np.float32), np.ones(KERNEL, np.float32)
    with pytest.raises(RuntimeError, match="out has shape"):
        functional.conv2d(x, weight, out=np.empty((2, 6, 5, 4), np.float32))
    with pytest.raises(RuntimeError, match="out has shape"):
        functional.conv2d(x, weight, out=np.empty((2, 6, 5, 5), np.float64))
    frozen = np.empty((2, 6, 5, 5), np.float32)
    frozen.flags.writeable = False
    with pytest.raises(RuntimeError, match="read-only"):
        functional.conv2d(x, weight, out=frozen)
    with pytest.raises(TypeError, match="out"):
        functional.conv2d(x, weight, out=[0.0])


def test_a_51x51_kernel_is_valid() -> None:
    x = np.ones((1, 1, 30, 30), np.float32)
    y = functional.conv2d(x, np.ones((1, 1, 51, 51), np.float32), padding=25)
    assert y.shape == x.shape
    assert y[0, 0, 15, 15] == 900


def test_valid_extremes_are_accepted() -> None:
    x, weight = np.ones(IMAGE), np.ones(KERNEL)
    assert functional.conv2d(x, weight, stride=2**31).shape == (2, 6, 1, 1)
    assert functional.conv2d(x, weight, stride=2**63 - 1).shape == (2, 6, 1, 1)
    assert functional.conv2d(x, np.ones((6, 4, 1, 1)), dilation=2**63 - 1).shape == (2, 6, 7, 7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_memory_that_no_window_sees_is_not_read(dtype: str) -> None:
    """NaN between the elements of a slice, and in elements that the stride skips, must not come out."""
    wide = np.full((2, 9, 15, 15), np.nan, dtype)
    x = wide[:, 1::2, 1::2, 1::2]
    x[...] = 1
    y = functional.conv2d(x, np.ones(KERNEL, dtype), padding=1)
    assert np.isfinite(y).all()
    skipped = np.full(IMAGE, np.nan, dtype)
    skipped[:, :, ::2, ::3] = 1
    assert (functional.conv2d(skipped, np.ones((6, 4, 1, 1), dtype), stride=(2, 3)) == 4).all()


def test_no_memory_is_an_error_of_both_kinds() -> None:
    """256 TiB of output: RuntimeError as PyTorch raises, and MemoryError as NumPy does."""
    x, weight = np.ones((1, 1, 1, 1), np.float32), np.ones((1, 1, 1, 1), np.float32)
    for error in (RuntimeError, MemoryError):
        with pytest.raises(error, match="no memory"):
            functional.conv2d(x, weight, padding=2**22)
