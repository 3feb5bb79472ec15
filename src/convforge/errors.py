"""Exceptions of the package. Each is also of the type that PyTorch raises for the same mistake.

`except RuntimeError` written for PyTorch keeps working; `except ConvforgeError` catches them all.
"""

from __future__ import annotations

import os
from pathlib import Path


class ConvforgeError(Exception):
    """Base of all errors that convforge raises on purpose."""


class ConvArgumentError(ConvforgeError, RuntimeError):
    """An argument of a convolution has a value outside its rule: a stride of 0, an unknown padding string."""


class ConvShapeError(ConvforgeError, RuntimeError):
    """Array shapes, or shapes and arguments, that do not fit together."""


class ConvValueError(ConvforgeError, ValueError):
    """What PyTorch refuses with ValueError: a layer's arguments, `output_size`, integers beyond 64 bits."""


class ConvTypeError(ConvforgeError, TypeError):
    """An argument of a wrong Python type, or an array that holds no numbers."""


class ConvDtypeError(ConvforgeError, RuntimeError):
    """Input, weight and bias of different dtypes."""


class UnsupportedDtypeError(ConvforgeError, NotImplementedError):
    """A dtype that no convolution is defined for, such as bool."""


class ConvMemoryError(ConvforgeError, MemoryError, RuntimeError):
    """An array that there is no memory for: RuntimeError as in PyTorch, MemoryError as in NumPy."""


def one_line(text: object) -> str:
    """The text without line breaks or other characters that move the cursor."""
    words = " ".join(str(text).split())
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def readable(path: Path | str) -> str:
    """A path as it can be printed: file names may hold bytes of no encoding, and line breaks."""
    name = os.fsencode(path).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def reason(error: BaseException) -> str:
    """An exception's text, or its name where it has none."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return one_line(error) or type(error).__name__
