"""The NumPy oracle: the exact three products. Slow, simple; the fallback where nothing can be compiled."""

from convforge.reference.convolution import grad_input, grad_weight, output
from convforge.reference.quantized import quantized, quantized_output, rounded

__all__ = ["grad_input", "grad_weight", "output", "quantized", "quantized_output", "rounded"]
