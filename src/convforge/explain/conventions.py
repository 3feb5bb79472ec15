"""What other tools count for a convolution layer: a formula each, read from the source of a version.

The tests hold these against the installed tools, layer by layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from convforge.explain.words import Words
from convforge.problem import ConvLayer, ConvSpec

Unit = Literal["multiply_adds", "operations"]
UNITS: dict[Unit, Words] = {
    "multiply_adds": Words("multiply-adds", "乘加"),
    "operations": Words("operations", "运算次数"),
}


@dataclass(frozen=True, slots=True)
class Convention:
    """What a tool counts.

    version: checked against; source: where in that version the formula stands.
    counts_bias: adds one for each output element where there is a bias.
    doubles: counts a multiplication and an addition for each product.
    transposed_by_output: takes every weight once for each output position of a transposed layer, as if it
        were a plain one; right is each input position.
    per_input: divides by the batch.
    misses_named_padding: counts nothing where padding is 'same' or 'valid', which PyTorch's tracer records
        as another operator.
    """

    tool: str
    version: str
    source: str
    unit: Unit
    formula: Words
    counts_bias: bool = False
    doubles: bool = False
    transposed_by_output: bool = False
    per_input: bool = False
    misses_named_padding: bool = False

    def count(self, layer: ConvLayer, spec: ConvSpec) -> int:
        """The number that the tool prints."""
        if self.misses_named_padding and has_named_padding(layer):
            return 0
        batch = 1 if self.per_input else spec.batch
        by_input = spec.transposed and not self.transposed_by_output
        positions = prod(spec.input_size if by_input else spec.output_size)
        products = batch * positions * prod(spec.weight_shape)
        bias = batch * spec.out_channels * prod(spec.output_size) if layer.bias and self.counts_bias else 0
        return (2 if self.doubles else 1) * products + bias


CONVENTIONS = (
    Convention(
        "thop",
        "0.1.1.post2209072238",
        "thop/vision/calc_func.py: calculate_conv2d_flops",
        "multiply_adds",
        Words(
            "batch · out_channels · output positions · in_channels / groups · kernel",
            "batch · out_channels · 输出位置数 · in_channels / groups · 卷积核元素数",
        ),
        transposed_by_output=True,
    ),
    Convention(
        "ptflops",
        "0.7.5",
        "ptflops/pytorch_ops.py: conv_flops_counter_hook",
        "multiply_adds",
        Words(
            "weights · output positions (transposed: input positions) "
            "+ bias · output positions, of one input",
            "权重数 · 输出位置数（转置：输入位置数）+ bias · 输出位置数，按单个输入计",
        ),
        counts_bias=True,
        per_input=True,
    ),
    Convention(
        "fvcore",
        "0.1.5.post20221221",
        "fvcore/nn/jit_handles.py: conv_flop_jit",
        "multiply_adds",
        Words(
            "batch · weights · output positions (transposed: input positions); 0 for padding by name",
            "batch · 权重数 · 输出位置数（转置：输入位置数）；padding 为字符串时为 0",
        ),
        misses_named_padding=True,
    ),
    Convention(
        "torchinfo",
        "1.8.0",
        "torchinfo/layer_info.py: LayerInfo.calculate_macs",
        "multiply_adds",
        Words(
            "batch · (weights + biases) · output positions",
            "batch ·（权重数 + 偏置数）· 输出位置数",
        ),
        counts_bias=True,
        transposed_by_output=True,
    ),
    Convention(
        "FlopCounterMode",
        "torch 2.13.0",
        "torch/utils/flop_counter.py: conv_flop_count",
        "operations",
        Words(
            "2 · batch · weights · output positions (transposed: input positions)",
            "2 · batch · 权重数 · 输出位置数（转置：输入位置数）",
        ),
        doubles=True,
    ),
)


def has_named_padding(layer: ConvLayer) -> bool:
    """Whether PyTorch traces the layer as a convolution with padding by name.

    With a padding mode it pads first and then convolves without padding, which is traced as usual.
    """
    return isinstance(layer.padding, str) and layer.padding_mode == "zeros"
