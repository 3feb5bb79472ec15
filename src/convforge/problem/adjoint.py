"""The convolution that computes the gradient of a convolution."""

from __future__ import annotations

from dataclasses import replace

from convforge.problem.padding import padded_size
from convforge.problem.spec import ConvSpec


def grad_input_spec(spec: ConvSpec) -> ConvSpec:
    """The spec whose output, of grad-output and the same weight array, is the gradient of the input.

    A convolution becomes a transposed convolution and the other way round. The weight array stays as it is:
    (out_channels, in_channels // groups) of the one are (in_channels, out_channels // groups) of the other.

    `output_size` of the result is authoritative. It is the formula's size in all cases but one: the adjoint
    of a transposed convolution with output_padding >= stride is a convolution that stops before the end.

    Only for padding_mode "zeros": for other modes take it of the padded array (`replace` the spec) and fold.
    """
    assert spec.padding_mode == "zeros"
    if spec.transposed:
        output_padding = (0,) * spec.rank
    else:
        output_padding = tuple(
            padded - ((out - 1) * stride + dilation * (kernel - 1) + 1)
            for padded, out, stride, dilation, kernel in zip(
                padded_size(spec), spec.output_size, spec.stride, spec.dilation, spec.kernel_size, strict=True
            )
        )
    return replace(
        spec,
        transposed=not spec.transposed,
        in_channels=spec.out_channels,
        out_channels=spec.in_channels,
        input_size=spec.output_size,
        output_size=spec.input_size,
        output_padding=output_padding,
    )
