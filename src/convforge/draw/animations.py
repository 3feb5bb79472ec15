"""The animations by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from convforge.draw.animation import Animation
from convforge.draw.scan import scan
from convforge.draw.scatter import transposed
from convforge.draw.sliding import sliding
from convforge.draw.sweeps import dilation_sweep, groups_sweep
from convforge.errors import ConvValueError

ANIMATIONS: dict[str, Callable[..., Animation]] = {
    "sliding": sliding,
    "transposed": transposed,
    "dilation": dilation_sweep,
    "groups": groups_sweep,
    "scan": scan,
}


def animation(name: str, **arguments: Any) -> Animation:
    """The animation of this name; arguments as its function takes them.

    Raises ValueError for a name that is not known, and what the function raises.
    """
    return ANIMATIONS[checked_animation(name)](**arguments)


def checked_animation(name: str) -> str:
    """The name, if it is one. Raises ValueError with a close one."""
    if name in ANIMATIONS:
        return name
    close = difflib.get_close_matches(name, ANIMATIONS, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(ANIMATIONS)}"
    raise ConvValueError(f"animation (={name!r}) is not known: {hint}")
