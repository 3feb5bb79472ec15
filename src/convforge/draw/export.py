"""A drawing as a file of some kind, by the suffix of its name."""

from __future__ import annotations

from collections.abc import Callable

from convforge.draw.drawing import Drawing
from convforge.errors import ConvValueError


def svg_bytes(drawing: Drawing) -> bytes:
    """The drawing as it is."""
    return drawing.svg.encode()


ENCODERS: dict[str, Callable[[Drawing], bytes]] = {".svg": svg_bytes}


def encoded(drawing: Drawing, suffix: str) -> bytes:
    """The bytes of a file with this suffix, such as ".svg".

    Raises ValueError for a suffix that is not written.
    """
    encoder = ENCODERS.get(suffix)
    if encoder is None:
        raise ConvValueError(f"suffix (={suffix!r}) is not written: use {', '.join(ENCODERS)}")
    return encoder(drawing)
