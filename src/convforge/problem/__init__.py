"""Says what a convolution is: turns what users may write in many ways into one canonical `ConvSpec`.

This room alone validates. Everything is computed in Python integers, so nothing overflows unseen.
"""

from convforge.problem.adjoint import grad_input_spec
from convforge.problem.layer import ConvLayer, normalize_layer
from convforge.problem.normalize import normalize_conv
from convforge.problem.padding import fold_padding, pad_array, padded_size, padding_map
from convforge.problem.precision import (
    Precision,
    checked_precision,
    get_float32_matmul_precision,
    optional_precision,
    precision,
    precision_of,
    set_float32_matmul_precision,
)
from convforge.problem.spec import ConvSpec, PaddingMode

__all__ = [
    "ConvLayer",
    "ConvSpec",
    "PaddingMode",
    "Precision",
    "checked_precision",
    "fold_padding",
    "get_float32_matmul_precision",
    "grad_input_spec",
    "normalize_conv",
    "normalize_layer",
    "optional_precision",
    "pad_array",
    "padded_size",
    "padding_map",
    "precision",
    "precision_of",
    "set_float32_matmul_precision",
]
