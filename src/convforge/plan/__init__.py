"""Chooses how a convolution is computed, and computes it."""

from convforge.reference import grad_input, grad_weight, output

__all__ = ["grad_input", "grad_weight", "output"]
