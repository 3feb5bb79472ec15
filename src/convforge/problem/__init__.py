"""Says what a convolution is: turns what users may write in many ways into one canonical `ConvSpec`.

This room alone validates. Everything is computed in Python integers, so nothing overflows unseen.
"""

from convforge.problem.adjoint import grad_input_spec
from convforge.problem.normalize import normalize_conv
from convforge.problem.padding import fold_padding, pad_array, padded_size, padding_map
from convforge.problem.spec import ConvSpec, PaddingMode

__all__ = [
    "ConvSpec",
    "PaddingMode",
    "fold_padding",
    "grad_input_spec",
    "normalize_conv",
    "pad_array",
    "padded_size",
    "padding_map",
]
