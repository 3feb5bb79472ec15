"""The three steps that note 4 takes from OpenCV, on pillow. As there, colours lie blue, green, red."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tools.photograph import photograph

INTER_LINEAR = Image.Resampling.BILINEAR
COLOR_BGR2RGB = "BGR2RGB"


def imread(name: str) -> np.ndarray:
    """uint8 array (height, width, 3), blue first. A name that is no file stands for the sample photograph."""
    path = Path(name)
    with Image.open(path if path.is_file() else photograph(path.with_suffix(".png").name)) as image:
        return np.asarray(image.convert("RGB"))[:, :, ::-1]


def resize(image: np.ndarray, size: tuple[int, int], interpolation: Image.Resampling) -> np.ndarray:
    """(height, width, 3) -> (size[1], size[0], 3). Pillow averages the pixels it drops, OpenCV skips them."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, interpolation))


def cvtColor(image: np.ndarray, code: str) -> np.ndarray:  # noqa: N802, OpenCV's name
    """Swap the first and the last channel."""
    if code != COLOR_BGR2RGB:
        raise ValueError(f"code (={code!r}) must be COLOR_BGR2RGB: the only conversion that the notes use")
    return image[:, :, ::-1]
