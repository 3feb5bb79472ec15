"""Quantised fully connected layers."""

from __future__ import annotations

from typing import Any, Self

from convforge.autograd.quantized import QDType, QTensor
from convforge.nn.quantized.layer import QuantizedLayer
from convforge.nn.quantized.product import QuantizedConvolution

__all__ = ["Linear", "LinearReLU"]


class Linear(QuantizedLayer):
    """A quantised `Linear`: bytes (*, in_features) -> bytes (*, out_features)."""

    def __init__(self, in_features: int, out_features: int, bias_: bool = True) -> None:
        super().__init__((out_features, in_features), out_features, bias_)
        self.in_features, self.out_features = in_features, out_features

    @classmethod
    def from_float(
        cls, mod: Any, scale: float | None = None, zero_point: int | None = None, dtype: QDType | None = None
    ) -> Self:
        """A float layer quantised: its weights at one scale for each output feature.

        scale, zero_point, dtype (quint8): of the outputs; None takes what the observer
        `mod.activation_post_process` has seen.
        """
        made = cls(mod.in_features, mod.out_features, mod.bias is not None)
        made._take_float(mod, scale, zero_point, dtype)
        return made

    def forward(self, x: QTensor) -> QTensor:
        """Apply the layer to a QTensor."""
        return self._prepared().rows(x)

    def _make(self) -> QuantizedConvolution:
        return QuantizedConvolution(
            self._weight,
            self._bias,
            rank=1,
            relu=self._relu,
            scale=self.scale,
            zero_point=self.zero_point,
            dtype=self.dtype,
        )

    def _get_name(self) -> str:
        return f"Quantized{type(self).__name__}"

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, scale={self.scale}, "
            f"zero_point={self.zero_point}, qscheme={self._weight.qscheme()}"
        )


class LinearReLU(Linear):
    """A quantised `Linear` and a ReLU, which only moves the lower limit of the bytes."""

    _relu = True
