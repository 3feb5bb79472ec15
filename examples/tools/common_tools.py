"""The two helpers of note 2's course: one seed for every generator, and a tensor made a picture again."""

from __future__ import annotations

import random

import convforge as torch
import numpy as np
from PIL import Image

from tools.transforms import Compose


def set_seed(seed: int) -> None:
    """The same draws from Python, NumPy and the tensors on each run."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def transform_invert(image: torch.Tensor, transform: Compose) -> Image.Image:
    """Undo `ToTensor`: a tensor (1 or 3, height, width) -> a grey or RGB picture.

    A convolution leaves 0…1. What does so is stretched until all but its extreme hundredths fit again.
    """
    pixels = np.moveaxis(image.detach().numpy(), 0, -1)
    if pixels.min() < 0 or pixels.max() > 1:
        dark, bright = np.quantile(pixels, (0.01, 0.99))
        pixels = np.clip((pixels - dark) / (bright - dark), 0, 1)
    if "ToTensor" in str(transform):
        pixels = pixels * 255
    return Image.fromarray(pixels.round().astype(np.uint8).squeeze())
