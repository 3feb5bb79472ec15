"""`Compose` and `ToTensor`, as note 2 takes them from torchvision."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import convforge as torch
import numpy as np
from PIL import Image


class ToTensor:
    """A picture of 0…255, (height, width, channels) -> a float32 tensor of 0…1, (channels, height, width)."""

    def __call__(self, picture: Image.Image) -> torch.Tensor:
        """The channels of a grey picture are one."""
        pixels = np.atleast_3d(np.asarray(picture)).astype(np.float32) / 255
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)))

    def __repr__(self) -> str:
        return "ToTensor()"


class Compose:
    """One transform after another."""

    def __init__(self, transforms: Sequence[Callable]) -> None:
        self.transforms = transforms

    def __call__(self, picture: Image.Image) -> torch.Tensor:
        """The last transform's result."""
        for transform in self.transforms:
            picture = transform(picture)
        return picture

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(repr, self.transforms))})"
