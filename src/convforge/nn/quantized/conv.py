"""Quantised Conv1d … ConvTranspose3d, and ConvReLU1d … 3d."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from convforge.autograd.quantized import QDType, QTensor
from convforge.nn import conv as float_layers
from convforge.nn.conv_nd import ConvNd
from convforge.nn.quantized.layer import QuantizedLayer
from convforge.nn.quantized.product import QuantizedConvolution
from convforge.plan import Explanation

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvReLU1d",
    "ConvReLU2d",
    "ConvReLU3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
]


class _ConvNd(QuantizedLayer):
    """Base of the convolutions: the arguments of the float layer, which checks them."""

    _float: ClassVar[Any]  # the float layer of the same name
    _rank: ClassVar[int]
    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]

    def _take_arguments(self, layer: ConvNd) -> None:
        for name in (
            "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups",
            "output_padding", "padding_mode", "transposed",
        ):  # fmt: skip
            self.__dict__[name] = getattr(layer, name)

    def _of(self, layer: ConvNd) -> Self:
        """Take arguments and shapes from a float layer."""
        QuantizedLayer.__init__(self, tuple(layer.weight.shape), layer.out_channels, layer.bias is not None)
        self._take_arguments(layer)
        return self

    @classmethod
    def from_float(
        cls, mod: Any, scale: float | None = None, zero_point: int | None = None, dtype: QDType | None = None
    ) -> Self:
        """A float layer quantised: its weights at one scale for each output channel.

        scale, zero_point, dtype (quint8): of the outputs; None takes what the observer
        `mod.activation_post_process` has seen.
        """
        made = cls.__new__(cls)._of(mod)
        made._take_float(mod, scale, zero_point, dtype)
        return made

    def forward(self, input: QTensor) -> QTensor:
        """The convolution of input, a QTensor."""
        return self._prepared()(input)

    def explain_plan(self, input: QTensor, *, measure: bool = False) -> Explanation:
        """Which kernel computes this layer for an input, why, and how near to the processor's limits.

        input: a QTensor, batch included or not. measure: time it as well.

            print(layer.explain_plan(x, measure=True))

        Raises what a call with such an input would raise. Source: this project; PyTorch has none.
        """
        return self._prepared().explain(input, measure=measure)

    def _make(self) -> QuantizedConvolution:
        names = ("stride", "padding", "dilation", "groups", "output_padding", "padding_mode", "transposed")
        return QuantizedConvolution(
            self._weight,
            self._bias,
            rank=self._rank,
            relu=self._relu,
            scale=self.scale,
            zero_point=self.zero_point,
            dtype=self.dtype,
            **{name: self.__dict__[name] for name in names},
        )

    def _get_name(self) -> str:
        return f"Quantized{type(self).__name__}"

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        sizes = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        parts = [sizes, f"scale={self.scale}, zero_point={self.zero_point}"]
        defaults = {"padding": (0,) * self._rank, "dilation": (1,) * self._rank, "groups": 1}
        for name, default in defaults.items():
            value = getattr(self, name)
            if value != default:
                parts.append(f"{name}={value}")
        return ", ".join([*parts, *(["bias=False"] if self._bias is None else [])])


class _PlainNd(_ConvNd):
    """Base of the plain convolutions: PyTorch's arguments, in its order."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        layer = self._float(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
            device, dtype,
        )  # fmt: skip
        self._of(layer)


class _TransposeNd(_ConvNd):
    """Base of the transposed convolutions, whose weights are (in_channels, out_channels // groups, …)."""

    _output_axis = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        layer = self._float(
            in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation,
            padding_mode, device, dtype,
        )  # fmt: skip
        self._of(layer)


class Conv1d(_PlainNd):
    """A quantised `Conv1d`: bytes in, bytes out."""

    _float = float_layers.Conv1d
    _rank = 1


class Conv2d(_PlainNd):
    """A quantised `Conv2d`: bytes in, bytes out."""

    _float = float_layers.Conv2d
    _rank = 2


class Conv3d(_PlainNd):
    """A quantised `Conv3d`: bytes in, bytes out."""

    _float = float_layers.Conv3d
    _rank = 3


class ConvReLU1d(Conv1d):
    """A quantised `Conv1d` and a ReLU, which only moves the lower limit of the bytes."""

    _relu = True


class ConvReLU2d(Conv2d):
    """A quantised `Conv2d` and a ReLU, which only moves the lower limit of the bytes."""

    _relu = True


class ConvReLU3d(Conv3d):
    """A quantised `Conv3d` and a ReLU, which only moves the lower limit of the bytes."""

    _relu = True


class ConvTranspose1d(_TransposeNd):
    """A quantised `ConvTranspose1d`."""

    _float = float_layers.ConvTranspose1d
    _rank = 1


class ConvTranspose2d(_TransposeNd):
    """A quantised `ConvTranspose2d`."""

    _float = float_layers.ConvTranspose2d
    _rank = 2


class ConvTranspose3d(_TransposeNd):
    """A quantised `ConvTranspose3d`."""

    _float = float_layers.ConvTranspose3d
    _rank = 3
