"""Files of drawings: SVG, PNG and PDF of one, GIF and animated PNG of several.

A drawing is SVG. vl-convert makes pixels and pages of it (resvg inside: no browser, no system library),
Pillow joins frames.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from convforge.draw.drawing import Drawing
from convforge.draw.fonts import with_installed_fonts
from convforge.errors import ConvforgeError, ConvValueError

STILL_SCALE, MOVING_SCALE = 2.0, 1.0
MOST_PIXELS = 80_000_000
"""Of one raster picture: 320 MB while it is drawn, and within what Pillow reads without a warning."""
COLOURS = 254
"""One more stands for what does not change from frame to frame: 200 kB in place of 550 for 17 frames."""
EXACT_COLOURS = 24
SAMPLED_FRAMES = 5
"""How many frames, evenly spaced, the common palette of an animation is chosen from."""
SHORTEST_MS = 20
"""Of a frame: browsers show what is shorter for 100 ms."""

_MEDIA = re.compile(r"@media[^{]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}")


class MissingExtraError(ConvforgeError, ImportError):
    """A library that only pictures need is not installed; says which extra brings it."""


def svg_bytes(drawing: Drawing, scale: float) -> bytes:  # noqa: ARG001 - as the other encoders
    """The drawing as it is."""
    return drawing.svg.encode()


def png_bytes(drawing: Drawing, scale: float = STILL_SCALE) -> bytes:
    """The drawing as PNG, `scale` pixels an SVG unit; of theme "auto" the light one.

    Raises ValueError for a scale that makes no picture or a huge one, MissingExtraError without vl-convert.
    """
    convert = need_vl_convert()
    if not (math.isfinite(scale) and scale > 0):
        raise ConvValueError(f"scale (={scale}) must be above 0: use scale=2")
    pixels = drawing.width * drawing.height * scale**2
    if not 1 <= pixels <= MOST_PIXELS:
        fitting = math.sqrt(MOST_PIXELS / (drawing.width * drawing.height))
        raise ConvValueError(
            f"scale (={scale:g}) makes {pixels / 1e6:.4g} megapixels of this drawing, and a picture has "
            f"up to {MOST_PIXELS / 1e6:.0f}: use scale={min(STILL_SCALE, fitting):.2g}"
        )
    return _converted(convert.svg_to_png, drawing, scale=scale)


def pdf_bytes(drawing: Drawing, scale: float = 1.0) -> bytes:  # noqa: ARG001 - a page has no pixels
    """The drawing as a PDF of one page, its letters embedded. Raises MissingExtraError without vl-convert."""
    return _converted(need_vl_convert().svg_to_pdf, drawing)


ENCODERS: dict[str, Callable[[Drawing, float], bytes]] = {
    ".svg": svg_bytes,
    ".png": png_bytes,
    ".pdf": pdf_bytes,
}


def encoded(drawing: Drawing, suffix: str, scale: float = STILL_SCALE) -> bytes:
    """The bytes of a file with this suffix, such as ".svg".

    scale: pixels an SVG unit, of a PNG.

    Raises ValueError for a suffix that is not written, MissingExtraError.
    """
    return ENCODERS[checked_suffix(suffix, tuple(ENCODERS), "a drawing")](drawing, scale)


def checked_suffix(suffix: str, known: tuple[str, ...], what: str) -> str:
    """The suffix in lower case. Raises ValueError that names those that are written."""
    if suffix.lower() in known:
        return suffix.lower()
    raise ConvValueError(f"suffix (={suffix!r}) is not written: save {what} as {', '.join(known)}")


def flattened(drawing: Drawing) -> str:
    """The drawing as the rasteriser understands it: the light theme, and fonts that are there."""
    return _MEDIA.sub("", str(with_installed_fonts(drawing.root)))


def _converted(convert: Callable[..., bytes], drawing: Drawing, **options: float) -> bytes:
    try:
        return convert(flattened(drawing), **options)
    except (RuntimeError, ValueError) as error:
        # Its text goes on with a trace of the library's own frames.
        first = str(error).strip().splitlines()[0]
        raise ConvValueError(f"the drawing cannot be rasterised: {first}: save it as .svg") from None


def need_vl_convert() -> Any:
    """The vl_convert module; MissingExtraError where it is missing."""
    try:
        import vl_convert
    except ImportError:
        raise MissingExtraError(
            "PNG, PDF and GIF need vl-convert-python: pip install 'convforge[draw]', or save as .svg"
        ) from None
    return vl_convert


def need_pillow() -> Any:
    """The PIL.Image module; MissingExtraError where Pillow is missing."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError("pictures need Pillow: pip install 'convforge[draw]'") from None
    return Image


def moving_bytes(
    frames: Sequence[Drawing], seconds: Sequence[float], suffix: str, *, scale: float = MOVING_SCALE
) -> bytes:
    """Frames of one size as .gif or animated .png, shown for `seconds` each, again and again.

    Raises as `png_bytes`.
    """
    kind = checked_suffix(suffix, (".gif", ".png"), "an animation")[1:].upper()
    images = one_palette([raster(frame, scale) for frame in frames])
    buffer = io.BytesIO()
    images[0].save(
        buffer,
        format=kind,
        save_all=True,
        append_images=images[1:],
        # GIF counts hundredths of a second.
        duration=[max(SHORTEST_MS, round(second * 100) * 10) for second in seconds],
        loop=0,
        optimize=True,
    )
    return buffer.getvalue()


def raster(drawing: Drawing, scale: float) -> Any:
    """The drawing as a PIL image in RGB, on white where it is transparent."""
    image_module = need_pillow()
    image = image_module.open(io.BytesIO(png_bytes(drawing, scale))).convert("RGBA")
    white = image_module.new("RGBA", image.size, (255, 255, 255, 255))
    return image_module.alpha_composite(white, image).convert("RGB")


def one_palette(images: list[Any]) -> list[Any]:
    """The frames in one common palette, chosen from some of them: what stands still keeps its colour.

    No dithering: noise that changes from frame to frame would be the largest part of the file.
    """
    image_module = need_pillow()
    step = max(1, math.ceil(len(images) / SAMPLED_FRAMES))
    sampled = [*images[:-1:step], images[-1]]
    width, height = images[0].size
    sheet = image_module.new("RGB", (width, height * len(sampled)))
    for number, image in enumerate(sampled):
        sheet.paste(image, (0, number * height))
    # The most frequent colours as they are, so that white stays white; the others are averaged.
    counts = sorted(sheet.getcolors(sheet.width * sheet.height), reverse=True)
    exact = [colour for _, colour in counts[:EXACT_COLOURS]]
    averaged = sheet.quantize(COLOURS - len(exact), method=image_module.Quantize.MEDIANCUT).getpalette()
    palette = np.array([*exact, *np.reshape(averaged, (-1, 3))], np.uint8)
    return [in_palette(image, palette) for image in images]


def in_palette(image: Any, palette: npt.NDArray[np.uint8]) -> Any:
    """The image with each colour replaced by the nearest of the palette, (colours, 3).

    Pillow's own look-up goes in steps of four and may take white for a grey beside it.
    """
    pixels = np.asarray(image)
    packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    known, place = np.unique(packed, return_inverse=True)
    colours = np.stack([known >> 16, known >> 8 & 255, known & 255], 1).astype(np.float32)
    # |a - b|² without |a|², which is the same for every entry.
    entries = palette.astype(np.float32)
    nearest = ((entries**2).sum(1) - 2 * colours @ entries.T).argmin(1).astype(np.uint8)
    indexed = need_pillow().fromarray(nearest[place].reshape(pixels.shape[:2]))
    indexed.putpalette(palette.tobytes())
    return indexed
