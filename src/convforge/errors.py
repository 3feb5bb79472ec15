"""Exceptions of the package. Each is also of the type that PyTorch raises for the same mistake."""

from __future__ import annotations


class ConvforgeError(Exception):
    """Base of all errors that convforge raises on purpose."""
