"""What all six convolution layers share: their attributes, parameters, initial weights and representation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from convforge.autograd.device import require_cpu
from convforge.autograd.dtype import get_default_dtype, resolve
from convforge.autograd.grad_mode import no_grad
from convforge.autograd.tensor import Tensor, from_data
from convforge.errors import ConvShapeError
from convforge.nn import init
from convforge.nn.functional.convolve import Convolution
from convforge.nn.module import Module
from convforge.nn.parameter import Parameter
from convforge.plan import Explanation, explain
from convforge.problem import Precision, optional_precision, sizes
from convforge.problem.arguments import integer, padding_pairs
from convforge.problem.layer import normalize_layer

# Setting one of these attributes makes the prepared convolution anew.
_ARGUMENTS = frozenset(
    ("kernel_size", "stride", "padding", "dilation", "groups", "output_padding", "padding_mode", "precision")
)


class ConvNd(Module):
    """Base of the convolution layers; its rank is the length of `kernel_size`.

    Raises ValueError, as PyTorch, where groups do not divide channels and for unknown names of paddings and
    modes; RuntimeError for values out of range, which PyTorch raises at the first call.

    precision: of this layer's float32 products, forward and backward: "highest", "high" or "medium"; None
    is what is in force when they run. May be set at any time; no part of the state dict.
    """

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: str | tuple[int, ...] | tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    transposed: bool
    output_padding: tuple[int, ...]
    groups: int
    padding_mode: str
    precision: Precision | None
    weight: Tensor
    bias: Tensor | None
    _reversed_padding_repeated_twice: list[int] | tuple[int, ...]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, ...],
        stride: Any,
        padding: Any,
        dilation: Any,
        transposed: bool,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any = None,
        dtype: Any = None,
        *,
        precision: Precision | None = None,
    ) -> None:
        super().__init__()
        require_cpu(device)
        rank = len(kernel_size)
        layer = normalize_layer(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            rank=rank,
            transposed=transposed,
            output_padding=output_padding,
        )
        self.in_channels = layer.in_channels
        self.out_channels = layer.out_channels
        self.groups = layer.groups
        self.kernel_size = layer.kernel_size
        self.stride = layer.stride
        self.dilation = layer.dilation
        self.padding = layer.padding
        self.transposed = transposed
        self.output_padding = layer.output_padding
        self.padding_mode = layer.padding_mode
        self.precision = precision
        self._reversed_padding_repeated_twice = self._sides_from_last_axis()

        element = (get_default_dtype() if dtype is None else resolve(dtype)).numpy
        self.weight = Parameter(from_data(np.empty(layer.weight_shape, element)))
        self.register_parameter(
            "bias", Parameter(from_data(np.empty(self.out_channels, element))) if bias else None
        )
        self.reset_parameters()

    def _sides_from_last_axis(self) -> list[int] | tuple[int, ...]:
        """The padding as `functional.pad` takes it; 'same' as for stride 1 (else the input decides)."""
        rank = len(self.kernel_size)
        match self.padding:
            case "same":
                pairs = [
                    sizes.same_padding(1, k, 1, d)
                    for k, d in zip(self.kernel_size, self.dilation, strict=True)
                ]
            case "causal":
                pairs = [sizes.causal_padding(self.kernel_size[0], self.dilation[0])]
            case str():
                pairs = [(0, 0)] * rank
            case _:
                pairs = padding_pairs(self.padding, rank)
        sides = [side for pair in reversed(pairs) for side in pair]
        # A tuple for numbers, a list for names: as in PyTorch.
        return sides if isinstance(self.padding, str) else tuple(sides)

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, as PyTorch does: uniform within 1 / sqrt(inputs of an output element).

        Source: kaiming_uniform_ with a = sqrt(5); with the same seed the numbers are PyTorch's.
        """
        with no_grad():
            init.kaiming_uniform_(self.weight, a=math.sqrt(5))
            if self.bias is not None:
                fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
                bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
                init.uniform_(self.bias, -bound, bound)

    def _prepare(self) -> Convolution:
        convolution = Convolution(
            len(self.kernel_size),
            self.transposed,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            self.output_padding,
            self.padding_mode,
            keeps_weights=True,
            precision=self.precision,
        )
        self.__dict__["_convolution"] = convolution
        return convolution

    def _conv_forward(self, input: Any, weight: Any, bias: Any) -> Any:
        """The convolution of this layer with another weight."""
        convolution = self.__dict__.get("_convolution") or self._prepare()
        return convolution(input, weight, bias)

    def forward(self, input: Any) -> Any:
        """The convolution of input, a Tensor: (batch, in_channels, …) or (in_channels, …)."""
        parameters = self._parameters
        try:
            weight, bias = parameters["weight"], parameters["bias"]
        except KeyError:  # computed from other parameters, as weight_norm does
            weight, bias = self.weight, self.bias
        return self._conv_forward(input, weight, bias)

    def explain_plan(self, input: Any, *, measure: bool = False) -> Explanation:
        """Which kernel computes this layer for an input, why, and how near to the processor's limits.

        input: a Tensor, an array, or a shape, batch included or not. measure: time it as well.

            print(layer.explain_plan((1, 3, 224, 224), measure=True))

        Raises what a call with such an input would raise.
        """
        weight, bias = self.weight, self.bias
        if isinstance(input, tuple | list):
            shape = tuple(integer(size, "input") for size in input)
            if any(size < 0 for size in shape):
                raise ConvShapeError(f"input (={shape}) must not have negative sizes: use 0 or more")
            # A shape needs no memory: all its elements are one.
            input = np.broadcast_to(np.zeros((), weight.dtype.numpy), shape)
        convolution = self.__dict__.get("_convolution") or self._prepare()
        spec, _ = convolution.spec(input, weight, bias)
        return explain(spec, has_bias=bias is not None, precision=self.precision, measure=measure)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "precision":
            value = optional_precision(value)
        super().__setattr__(name, value)
        if name in _ARGUMENTS:
            self.__dict__.pop("_convolution", None)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state.pop("_convolution", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("padding_mode", "zeros")
        self.__dict__.setdefault("precision", None)

    def extra_repr(self) -> str:
        """PyTorch's: the sizes, then what differs from the default."""
        rank = len(self.kernel_size)
        parts = [
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        ]
        if self.padding != (0,) * rank:
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * rank:
            parts.append(f"dilation={self.dilation}")
        if self.output_padding != (0,) * rank:
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        if self.precision is not None:
            parts.append(f"precision={self.precision}")
        return ", ".join(parts)
