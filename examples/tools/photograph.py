"""The photograph that the examples convolve: matplotlib's portrait of Grace Hopper, in the public domain."""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib.cbook
from PIL import Image

OUT = Path(__file__).resolve().parents[2] / "out"


def photograph(name: str) -> str:
    """Path of the photograph as out/NAME, 512 by 512 RGB: the size of the notes' own, which is not free.

    The sample is 512 wide and 600 high; the lowest 88 rows are cut off.
    """
    OUT.mkdir(exist_ok=True)
    path = OUT / name
    with Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as image:
        square = image.convert("RGB").crop((0, 0, 512, 512))
    # Written beside and renamed: two examples may run at once.
    partial = path.with_stem(f"{path.stem}.{os.getpid()}")
    square.save(partial)
    partial.replace(path)
    return str(path)
