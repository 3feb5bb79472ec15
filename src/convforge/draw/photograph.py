"""Reads an image file into the numbers a layer takes, whatever its format and mode."""

from __future__ import annotations

import difflib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convforge.errors import ConvTypeError, ConvValueError, readable, reason

MODES: dict[int, str] = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
WORDS: dict[str, str] = {"L": "grey", "LA": "grey with alpha", "RGB": "RGB", "RGBA": "RGBA"}
EIGHT_BIT_GREY = ("1", "L")
WIDE_GREY = ("I", "F")  # with every I;16 variant
# ITU-R 601, as Pillow has it.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
MEGAPIXELS = 89.0
"""Pillow's own bound on what a file may unpack to: a small file can hold a picture that fills the memory."""


class PhotographError(ConvValueError):
    """A photograph that cannot be read: says why in one line, and how to mend it."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """pixels: float32 (height, width, channels), 0 black and 1 white. `mode` says what the file held."""

    path: Path
    pixels: npt.NDArray[np.float32]
    mode: str


def need_pillow() -> Any:
    """The PIL.Image module; PhotographError that names the extra where Pillow is missing."""
    try:
        from PIL import Image
    except ImportError:
        raise PhotographError("reading images needs Pillow: pip install 'convforge[image]'") from None
    return Image


def load_photograph(path: Path, channels: int | None, megapixels: float = MEGAPIXELS) -> Photograph:
    """Reads the file's first frame, turned upright by its EXIF tag, with the number of channels asked for.

    channels: 1 grey (ITU-R 601 luma), 2 grey and alpha, 3 RGB, 4 RGBA, None 1 or 3 as the file has.
    Alpha is kept where there is a channel for it, and else laid over white. Grey of 16 or 32 bits and floats
    keep their precision; colour of 16 bits is read with 8, as Pillow does. Colour profiles are not applied.

    Raises PhotographError for a file that is missing, cut, no image, or larger than `megapixels`.
    """
    image_module = need_pillow()
    check_file(path)
    pixels, mode = image_pixels(decode(image_module, path, megapixels), readable(path), channels)
    return Photograph(path, pixels, mode)


def image_pixels(image: Any, name: str, channels: int | None) -> tuple[npt.NDArray[np.float32], str]:
    """(height, width, channels) of a PIL image as `load_photograph` reads it, and the words for its mode.

    Raises PhotographError that begins with `name`.
    """
    image_module = need_pillow()
    try:
        if image.mode in WIDE_GREY or image.mode.startswith("I;16"):
            words = "grey, 16 bits" if image.mode.startswith("I;16") else f"grey, mode {image.mode}"
            return with_channels(wide_grey(image, name), channels or 1), words
        mode = WORDS.get(image.mode, str(image.mode))
        wanted = MODES[channels or (1 if image.mode in (*EIGHT_BIT_GREY, "LA", "La") else 3)]
        image = to_mode(image_module, image, wanted)
    except (OSError, ValueError) as error:
        if isinstance(error, PhotographError):
            raise
        raise PhotographError(f"{name}: cannot be converted: {reason(error)}: save it as PNG") from None
    pixels = np.asarray(image, dtype=np.float32) / np.float32(255)
    return np.atleast_3d(pixels), mode if WORDS[wanted] == mode else f"{mode}, read as {WORDS[wanted]}"


def photograph_of(photo: Any, channels: int | None, megapixels: float = MEGAPIXELS) -> Photograph:
    """A photograph from whatever a user has.

    photo: a path; a PIL image; or an array, (height, width) or (height, width, 1 to 4 channels), of uint8 or
        of floats from 0 to 1.
    channels: as `load_photograph` has it. An array of colour becomes grey by the same weights as a file.

    Raises PhotographError for what cannot be read, ConvTypeError for what is no photograph.
    """
    if isinstance(photo, str | Path):
        return load_photograph(Path(photo), channels, megapixels)
    if isinstance(photo, Photograph):
        pixels, _ = array_pixels(photo.pixels, channels)
        return Photograph(photo.path, pixels, photo.mode)
    if hasattr(photo, "getbands") and hasattr(photo, "convert"):
        pixels, mode = image_pixels(photo, "photo", channels)
        return Photograph(Path("photo"), pixels, mode)
    if isinstance(photo, np.ndarray):
        pixels, mode = array_pixels(photo, channels)
        return Photograph(Path("photo"), pixels, mode)
    raise ConvTypeError(
        f"photo (={type(photo).__name__}) must be a path, a PIL image or an array: give photo='photo.jpg'"
    )


def array_pixels(array: npt.NDArray[Any], channels: int | None) -> tuple[npt.NDArray[np.float32], str]:
    """(height, width, channels) in float32 of an array of uint8, or of floats from 0 to 1."""
    if array.ndim not in (2, 3) or array.size == 0 or (array.ndim == 3 and array.shape[2] not in MODES):
        raise PhotographError(
            f"photo: an array of shape {array.shape} is no photograph: give (height, width) or "
            "(height, width, 1 to 4 channels)"
        )
    if array.dtype == np.uint8:
        pixels = array.astype(np.float32) / np.float32(255)
    elif array.dtype.kind == "f":
        pixels = array.astype(np.float32)
        if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1):
            raise PhotographError("photo: values outside 0…1, or NaN: scale them to 0 (black) … 1 (white)")
    else:
        raise PhotographError(f"photo: an array of {array.dtype}: give uint8, or floats from 0 to 1")
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    have = pixels.shape[2]
    mode = WORDS[MODES[have]]
    if channels in (None, have):
        return pixels, mode
    alpha = pixels[..., -1:] if have in (2, 4) else np.ones_like(pixels[..., :1])
    colour = pixels[..., : 3 if have > 2 else 1]
    if channels in (1, 3):  # alpha that there is no channel for is laid over white
        colour, alpha = colour * alpha + (1 - alpha), np.ones_like(alpha)
    if channels in (1, 2) and colour.shape[2] == 3:
        colour = (colour @ LUMA)[..., None]
    elif channels in (3, 4) and colour.shape[2] == 1:
        colour = np.repeat(colour, 3, axis=2)
    wanted = np.concatenate([colour, alpha], axis=2) if channels in (2, 4) else colour
    assert channels is not None
    return np.ascontiguousarray(wanted, np.float32), f"{mode}, read as {WORDS[MODES[channels]]}"


def check_file(path: Path) -> None:
    """Refuses what is not a readable file, with a close name where there is one."""
    try:
        if path.is_file():
            if path.stat().st_size == 0:
                raise PhotographError(f"{readable(path)}: the file is empty: copy it again")
            return
        if path.exists():
            raise PhotographError(f"{readable(path)}: neither a file nor a folder: give an image file")
        if path.is_symlink():
            raise PhotographError(f"{readable(path)}: a link that leads nowhere: give the file itself")
        siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    except (OSError, ValueError) as error:
        raise PhotographError(f"{readable(path)}: cannot be read: {reason(error)}: check the path") from None
    close = difflib.get_close_matches(path.name, siblings, n=1)
    hint = f"did you mean {readable(path.parent / close[0])}?" if close else "check the name"
    raise PhotographError(f"{readable(path)}: no such file: {hint}")


def decode(image_module: Any, path: Path, megapixels: float) -> Any:
    """The upright first frame as a PIL image.

    Raises PhotographError; a decoder raises whatever it likes on a damaged file, so everything is caught.
    """
    from PIL import ImageOps

    name = readable(path)
    # Pillow's bound is the process's: it is put back for whoever else reads images here.
    bound = image_module.MAX_IMAGE_PIXELS
    image_module.MAX_IMAGE_PIXELS = max(1, int(megapixels * 1e6))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", image_module.DecompressionBombWarning)
            with image_module.open(path) as image:
                image.load()
                return ImageOps.exif_transpose(image)
    except image_module.UnidentifiedImageError:
        raise PhotographError(
            f"{name}: not an image that Pillow can read: convert it to PNG, JPEG or TIFF"
        ) from None
    except (image_module.DecompressionBombError, image_module.DecompressionBombWarning):
        raise PhotographError(
            f"{name}: more than {megapixels:g} megapixels: shrink it, or raise megapixels if you trust it"
        ) from None
    except PermissionError:
        raise PhotographError(f"{name}: no permission to read it: change its owner or mode") from None
    except MemoryError:
        raise PhotographError(f"{name}: does not fit into memory: shrink it") from None
    except Exception as error:
        raise PhotographError(f"{name}: damaged or cut short ({reason(error)}): copy it again") from None
    finally:
        image_module.MAX_IMAGE_PIXELS = bound


def wide_grey(image: Any, name: str) -> npt.NDArray[np.float32]:
    """Grey of more than 8 bits as 0…1: integers by their range, floats as they are if they are within it."""
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise PhotographError(f"{name}: holds NaN or infinite pixels: replace them first")
    if image.mode != "F" and values.min() >= 0 and values.max() <= 65535:
        return (values / 65535).astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if image.mode == "F" and low >= 0 and high <= 1:
        return values.astype(np.float32)
    return ((values - low) / (high - low or 1)).astype(np.float32)


def with_channels(grey: npt.NDArray[np.float32], channels: int) -> npt.NDArray[np.float32]:
    """(height, width) grey as 1 to 4 channels; alpha is opaque."""
    opaque = [np.ones_like(grey)] if channels in (2, 4) else []
    return np.stack([grey] * (channels - len(opaque)) + opaque, axis=-1)


def to_mode(image_module: Any, image: Any, wanted: str) -> Any:
    """Converts among 8-bit modes; alpha that has no place in `wanted` is laid over white."""
    transparent = image.mode in ALPHA or "transparency" in image.info
    if transparent and wanted in ("L", "RGB"):
        image = image.convert("RGBA")
        white = image_module.new("RGBA", image.size, (255, 255, 255, 255))
        image = image_module.alpha_composite(white, image).convert("RGB")
    elif image.mode not in ("L", "RGB", "RGBA", "LA"):
        # Through RGB: not every mode (LAB, CMYK) has a direct way to grey.
        image = image.convert("RGBA" if transparent else "RGB")
    return image if image.mode == wanted else image.convert(wanted)


def demo_photograph() -> Path:
    """Grace Hopper, 1984, by James S. Davis, US Navy: public domain; part of matplotlib's sample data."""
    try:
        from matplotlib import cbook
    except ImportError:
        raise PhotographError("--demo needs matplotlib: pip install 'convforge[image]'") from None
    return Path(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
