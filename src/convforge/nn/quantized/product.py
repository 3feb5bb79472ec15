"""Convolutions and linear maps of quantised tensors with their arguments fixed."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from convforge.autograd.quantized import QDType, QTensor, qint8
from convforge.autograd.tensor import Tensor
from convforge.errors import ConvArgumentError, ConvDtypeError, ConvTypeError
from convforge.kernels.dot.contract import QuantizedOutput
from convforge.plan import Explanation
from convforge.plan.describe import explain_bytes
from convforge.plan.dot.quantized import QuantizedProduct
from convforge.problem import ConvSpec, normalize_conv
from convforge.problem.quantization import Rescaling, checked_scale, checked_zero_point

Array = NDArray[Any]
# Inputs' shapes and scales that a layer remembers.
_REMEMBERED = 64


class QuantizedConvolution:
    """A convolution whose arguments and weights are known, to be called with quantised inputs.

    weight: a QTensor of qint8 whose zero points are 0, with one scale or one for each output channel.
    bias: (out_channels,) of float32, or None. scale, zero_point, dtype: of the outputs.
    """

    def __init__(
        self,
        weight: QTensor,
        bias: Array | None,
        *,
        rank: int,
        relu: bool,
        scale: float,
        zero_point: int,
        dtype: QDType,
        transposed: bool = False,
        groups: int = 1,
        **arguments: Any,
    ) -> None:
        self._weight, self._bias, self._relu, self._dtype = weight, bias, relu, dtype
        self._scale, self._zero_point = checked_scale(scale), checked_zero_point(zero_point, dtype.numpy)
        self._arguments: dict[str, Any] = {
            "rank": rank,
            "transposed": transposed,
            "groups": groups,
            **arguments,
        }
        if transposed and arguments.get("padding_mode", "zeros") != "zeros":
            raise ConvArgumentError(
                f"padding_mode (={arguments['padding_mode']!r}) of a quantised transposed convolution must "
                "be 'zeros': use another mode in float32"
            )
        self._scales = _channel_scales(weight, transposed, groups)
        self._specs: dict[Any, tuple[ConvSpec, bool]] = {}
        self._products: dict[Any, QuantizedProduct] = {}

    def __call__(self, x: QTensor, output_size: Any = None) -> QTensor:
        """The convolution of x: (batch, in_channels, …) or (in_channels, …)."""
        _check_input(x)
        spec, unbatched = self._spec(x, output_size)
        y = self._product(x)(spec, x.ints[None] if unbatched else x.ints)
        return QTensor(y[0] if unbatched else y, self._scale, self._zero_point, self._dtype)

    def explain(self, x: QTensor, *, measure: bool = False) -> Explanation:
        """Which kernel computes this for an input, and why (`ConvNd.explain_plan`)."""
        _check_input(x)
        spec, _ = self._spec(x, None)
        output = cast(QuantizedOutput, self._dtype.numpy.name)
        return explain_bytes(spec, output, self._product(x), measure=measure)

    def rows(self, x: QTensor) -> QTensor:
        """A linear map of the last axis, as a convolution of kernel 1: (*, in) -> (*, out).

        The rows are the positions of a signal whose channels lie side by side.
        """
        _check_input(x)
        outs, ins = self._weight.shape[:2]
        if not x.shape or x.shape[-1] != ins:
            raise ConvArgumentError(
                f"input of shape {list(x.shape)} must have {ins} features in its last axis: use the layer's "
                "in_features"
            )
        flat = x.ints.reshape(-1, ins)
        y = np.empty((len(flat), outs), self._dtype.numpy)
        if len(flat):
            spec, _ = normalize_conv((1, ins, len(flat)), (outs, ins, 1), None, rank=1, dtype=x.dtype.numpy)
            self._product(x)(spec, flat[None].swapaxes(1, 2), y[None].swapaxes(1, 2))
        y = y.reshape(*x.shape[:-1], outs)
        return QTensor(y, self._scale, self._zero_point, self._dtype)

    def _spec(self, x: QTensor, output_size: Any) -> tuple[ConvSpec, bool]:
        key = (x.shape, x.dtype, output_size if output_size is None else tuple(output_size))
        known = self._specs.get(key)
        if known is None:
            bias_shape = None if self._bias is None else self._bias.shape
            known = normalize_conv(
                x.shape,
                self._weight.shape,
                bias_shape,
                dtype=x.dtype.numpy,
                output_size=output_size,
                **self._arguments,
            )
            _remember(self._specs, key, known)
        return known

    def _product(self, x: QTensor) -> QuantizedProduct:
        key = (x.scale, x.zero_point, x.dtype)
        known = self._products.get(key)
        if known is None:
            rescaling = Rescaling.of(
                x_scale=x.q_scale(),
                x_zero=x.q_zero_point(),
                weight_scales=self._scales,
                bias=self._bias,
                relu=self._relu,
                y_dtype=self._dtype.numpy,
                y_scale=self._scale,
                y_zero=self._zero_point,
            )
            known = QuantizedProduct(self._weight.ints, rescaling)
            _remember(self._products, key, known)
        return known


def checked_weight(weight: Any, axis: int = 0) -> QTensor:
    """A weight that quantised products take. Raises TypeError, or RuntimeError with what is wrong.

    axis: of the output channels, along which there may be a scale each.
    """
    if not isinstance(weight, QTensor):
        raise ConvTypeError(
            f"weight must be a QTensor, not {type(weight).__name__}: use convforge.quantize_per_tensor"
        )
    if weight.dtype != qint8:
        raise ConvDtypeError(f"weight has dtype {weight.dtype}, but must have torch.qint8: quantise it so")
    if np.any(np.asarray(weight.zero_point)):
        raise ConvArgumentError(
            f"weight's zero point (={weight.zero_point}) must be 0: quantise weights symmetrically"
        )
    if weight.axis not in (None, axis):
        raise ConvArgumentError(
            f"weight has a scale for each index of axis {weight.axis}, but its output channels are axis "
            f"{axis}: use quantize_per_channel(weight, scales, zero_points, {axis}, convforge.qint8)"
        )
    return weight


def checked_bias(bias: Any) -> Array | None:
    """The bias as a float32 array. Raises RuntimeError for infinities and NaN."""
    if bias is None:
        return None
    array = np.asarray(bias._data if isinstance(bias, Tensor) else bias).astype(np.float32)
    if not np.isfinite(array).all():
        raise ConvArgumentError("bias must be finite: quantised sums have no infinities")
    return array


def _channel_scales(weight: QTensor, transposed: bool, groups: int) -> Array:
    """The scale of each output channel; those of a transposed convolution's groups repeat."""
    per_group = weight.shape[1] if transposed else weight.shape[0]
    channels = per_group * groups if transposed else per_group
    if weight.axis is None:
        return np.full(channels, weight.scale, np.float64)
    return np.tile(weight.scale, channels // max(per_group, 1))


def _check_input(x: Any) -> None:
    if not isinstance(x, QTensor):
        raise ConvTypeError(
            f"input must be a QTensor, not {type(x).__name__}: use nn.quantized.Quantize, or "
            "convforge.quantize_per_tensor"
        )


def _remember(kept: dict[Any, Any], key: Any, value: Any) -> None:
    if len(kept) >= _REMEMBERED:
        kept.pop(next(iter(kept)), None)
    kept[key] = value
