"""What the quantised layers share: a weight that is a QTensor, the scale of the outputs, the state dict."""

from __future__ import annotations

from typing import Any

import numpy as np

from convforge.autograd.quantized import QDType, QTensor, per_channel_symmetric, qint8, quint8
from convforge.autograd.tensor import Tensor, from_data
from convforge.nn.module import Module
from convforge.nn.quantized.observer import PerChannelMinMaxObserver
from convforge.nn.quantized.product import QuantizedConvolution, checked_bias, checked_weight
from convforge.problem.quantization import checked_scale, checked_scales, checked_zero_point


class QuantizedLayer(Module):
    """Base of the quantised layers. Weights change by `set_weight_bias` only, so what is packed stays.

    scale, zero_point: of the outputs; may be set. State dict: `weight` (int8), `bias`, `scale`, `zero_point`
    as in PyTorch, whose `weight` is a quantised tensor; its scales are `weight_scales` here.
    """

    _relu: bool = False
    _output_axis: int = 0  # of the weight
    _weight: QTensor
    _bias: Any

    def __init__(self, weight_shape: tuple[int, ...], outs: int, bias: bool, dtype: QDType = quint8) -> None:
        super().__init__()
        self.dtype = dtype
        self.scale, self.zero_point = 1.0, 0
        ones = QTensor(np.zeros(weight_shape, np.int8), 1.0, 0, qint8)
        self.set_weight_bias(ones, np.zeros(outs, np.float32) if bias else None)

    def weight(self) -> QTensor:
        """The quantised weight."""
        return self._weight

    def bias(self) -> Tensor | None:
        """The bias, float32."""
        return None if self._bias is None else from_data(self._bias)

    def set_weight_bias(self, w: QTensor, b: Any) -> None:
        """Take another weight, and another bias or None. Raises for what the layer does not take."""
        self.__dict__["_weight"], self.__dict__["_bias"] = (
            checked_weight(w, self._output_axis),
            checked_bias(b),
        )
        self.__dict__.pop("_product", None)

    def _make(self) -> QuantizedConvolution:
        raise NotImplementedError

    def _prepared(self) -> QuantizedConvolution:
        product = self.__dict__.get("_product")
        if product is None:
            product = self.__dict__["_product"] = self._make()
        return product

    def _take_float(self, mod: Any, scale: Any, zero_point: Any, dtype: QDType | None) -> None:
        """Quantise the weights of a float layer, one scale a channel, and take the outputs' scale.

        scale None: what the layer's `activation_post_process`, an observer, has seen.
        """
        if scale is None:
            observer = mod.activation_post_process
            (scale, zero_point), dtype = observer.calculate_qparams(), observer.dtype
            scale, zero_point = scale.item(), zero_point.item()
        self.dtype = dtype or quint8
        self.scale, self.zero_point = checked_scale(scale), checked_zero_point(zero_point, self.dtype.numpy)
        observe = PerChannelMinMaxObserver(self._output_axis, qint8, per_channel_symmetric)
        observe(mod.weight.detach())
        self.set_weight_bias(observe.quantize(mod.weight.detach()), mod.bias)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in ("scale", "zero_point"):
            self.__dict__.pop("_product", None)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state.pop("_product", None)
        return state

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name, tensor in self._state().items():
            destination[prefix + name] = tensor

    def _state(self) -> dict[str, Tensor]:
        bias = self.bias()
        return {
            "weight": self._weight.int_repr(),
            "weight_scales": from_data(np.asarray(self._weight.scale, np.float64)),
            **({} if bias is None else {"bias": bias}),
            "scale": from_data(np.asarray(self.scale, np.float32)),
            "zero_point": from_data(np.asarray(self.zero_point, np.int64)),
        }

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        own = self._state()
        given = {name: state_dict.pop(prefix + name) for name in own if prefix + name in state_dict}
        missing_keys += [prefix + name for name in own if name not in given and strict]
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        values = {name: np.asarray(value) for name, value in {**own, **given}.items()}
        for name in ("weight", "bias"):
            if name in values and values[name].shape != tuple(own[name].shape):
                error_msgs.append(
                    f"size mismatch for {prefix + name}: copying a param with shape {values[name].shape} "
                    f"from checkpoint, the shape in current model is {tuple(own[name].shape)}."
                )
                return
        scales = values["weight_scales"]
        ints = values["weight"].astype(np.int8)
        if scales.ndim == 0:
            weight = QTensor(ints, checked_scale(scales), 0, qint8)
        else:
            channels = ints.shape[self._output_axis]
            steps = checked_scales(scales, channels, "weight_scales")
            weight = QTensor(ints, steps, np.zeros(channels, np.int64), qint8, self._output_axis)
        self.set_weight_bias(weight, values.get("bias"))
        self.scale = checked_scale(values["scale"])
        self.zero_point = checked_zero_point(int(values["zero_point"]), self.dtype.numpy)
