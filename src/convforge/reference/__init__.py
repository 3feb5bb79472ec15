"""The NumPy oracle: the exact three products. Slow, simple; the fallback where nothing can be compiled."""

from convforge.reference.convolution import grad_input, grad_weight, output
from convforge.reference.quantized import quantized_output

__all__ = ["grad_input", "grad_weight", "output", "quantized_output"]
