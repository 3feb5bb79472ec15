"""The NumPy oracle: exact definitions of the three products. Slow, simple; the fallback without a compiler."""

from convforge.reference.convolution import grad_input, grad_weight, output

__all__ = ["grad_input", "grad_weight", "output"]
