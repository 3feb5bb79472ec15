"""matplotlib's pyplot, except that `show` writes the figure to out/ instead of waiting at a window."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # before pyplot: the examples run on machines without a screen

from matplotlib.pyplot import *
from matplotlib.pyplot import close, savefig

from tools.photograph import OUT

_shown = count(1)


def show() -> None:
    """Save the current figure as out/SCRIPT-1.png, -2.png, …, say where, and close it."""
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{Path(sys.argv[0]).stem}-{next(_shown)}.png"
    savefig(path, dpi=100, bbox_inches="tight")
    close()
    print(f"picture: {path.relative_to(OUT.parent).as_posix()}")
