"""The NumPy oracle: the exact three products. Slow, simple; the fallback where nothing can be compiled."""

from convforge.reference.convolution import grad_input, grad_weight, output

__all__ = ["grad_input", "grad_weight", "output"]
