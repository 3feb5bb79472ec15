"""Arrays as pictures within drawings: photographs, and signed numbers on a diverging scale.

The scale goes from blue over a neutral near-white at zero to orange: people with any colour vision tell its
sides apart, and both grow darker alike. It has 127 steps on either side, so a colour says its number:

    step = round(127 · value / limit)
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from convforge.draw.export import need_pillow
from convforge.draw.layout import Box
from convforge.draw.measure import text_width
from convforge.draw.numbers import short
from convforge.draw.shapes import Area, Label, Picture, Shape

Floats = npt.NDArray[np.float32]
STEPS = 127
# From the lowest to the highest: blue, near-white, orange. Lightness is symmetric about the middle.
_ANCHORS = ("#08306b", "#2b7bba", "#a6cee8", "#f7f7f5", "#f6c08a", "#cd6a12", "#6b2c00")
HEAT, HEAT_OPACITY = (255, 106, 0), 215
BAR_HEIGHT, BAR_TEXT = 12.0, 11.0


def _palette() -> npt.NDArray[np.uint8]:
    anchors = np.array([[int(text[i : i + 2], 16) for i in (1, 3, 5)] for text in _ANCHORS], float)
    at = np.linspace(0, len(anchors) - 1, 2 * STEPS + 1)
    return (
        np.stack([np.interp(at, range(len(anchors)), band) for band in anchors.T], 1).round().astype(np.uint8)
    )


PALETTE = _palette()
"""RGB of steps -127 to 127: row 127 is zero."""


def signed_steps(values: Floats, limit: float) -> npt.NDArray[np.uint8]:
    """Rows of `PALETTE` for values from -limit to limit; what is beyond takes the last colour."""
    scaled = np.nan_to_num(values / limit if limit else np.zeros_like(values), posinf=1.0, neginf=-1.0)
    return (np.clip(np.rint(scaled * STEPS), -STEPS, STEPS) + STEPS).astype(np.uint8)


def signed_limit(values: Floats) -> float:
    """The largest magnitude, infinities and NaN apart: what the ends of the scale stand for."""
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0


def signed_png(values: Floats, limit: float) -> bytes:
    """(height, width) as a PNG whose palette is the scale."""
    image = need_pillow().fromarray(signed_steps(values, limit))
    image.putpalette(PALETTE.tobytes())
    return encoded(image)


def photograph_png(pixels: Floats) -> bytes:
    """(height, width, channels) from 0 to 1 as a PNG; alpha is laid over white."""
    colour = pixels[..., : 3 if pixels.shape[2] > 2 else 1]
    if pixels.shape[2] in (2, 4):
        colour = colour * pixels[..., -1:] + 1 - pixels[..., -1:]
    levels = np.clip(colour * 255 + 0.5, 0, 255).astype(np.uint8)
    return encoded(need_pillow().fromarray(levels if levels.shape[2] == 3 else levels[..., 0]))


def encoded(image: Any) -> bytes:
    """A PIL image as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def shrunk(pixels: Floats, largest: int) -> Floats:
    """The picture with at most `largest` pixels a side, each the mean of those that it stands for."""
    height, width = pixels.shape[:2]
    scale = largest / max(height, width)
    if scale >= 1:
        return pixels
    image_module = need_pillow()
    size = max(1, round(width * scale)), max(1, round(height * scale))
    bands = (image_module.fromarray(np.ascontiguousarray(pixels[..., i])) for i in range(pixels.shape[2]))
    small = [np.asarray(band.resize(size, image_module.Resampling.BOX)) for band in bands]
    return np.clip(np.stack(small, 2), 0, 1).astype(np.float32)


def picture_box(png: bytes, width: float, height: float, alt: str, name: str) -> Box:
    """A picture of this size on the page, an anchor of its name."""
    area = Area(0, 0, width, height)
    return Box(width, height, (Picture(area, png, alt, name),), {name: area})


def scale_box(limit: float, width: float) -> Box:
    """The colour scale with its numbers below: −limit, 0, limit."""
    area = Area(0, 0, width, BAR_HEIGHT)
    ramp = np.linspace(-1, 1, 2 * STEPS + 1, dtype=np.float32)[None]
    low, high = short(-limit), short(limit)
    y = BAR_HEIGHT + BAR_TEXT * 0.9
    shapes: list[Shape] = [
        Picture(area, signed_png(ramp, 1.0), f"{low} … {high}", "scale"),
        Label((0, y), ((low, "muted"),), BAR_TEXT, "start"),
        Label((width / 2, y), (("0", "muted"),), BAR_TEXT),
        Label((width, y), ((high, "muted"),), BAR_TEXT, "end"),
    ]
    return Box(max(width, text_width(low + high, BAR_TEXT)), BAR_HEIGHT + BAR_TEXT * 1.6, tuple(shapes))


def heat_png(weights: Floats) -> bytes:
    """Values from 0 to 1 as warmth that lets through what lies below: nothing at 0, orange at 1."""
    levels = np.clip(weights, 0, 1)
    image = np.empty((*weights.shape, 4), np.uint8)
    image[..., :3] = HEAT
    # A square root: small gradients are seen too.
    image[..., 3] = np.rint(np.sqrt(levels) * HEAT_OPACITY)
    return encoded(need_pillow().fromarray(image))
