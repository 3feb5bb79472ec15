"""Reads an image file into the numbers a layer takes, whatever its format and mode."""

from __future__ import annotations

import difflib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convforge.cli.failure import CliError, readable, reason

MODES: dict[int, str] = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
WORDS: dict[str, str] = {"L": "grey", "LA": "grey with alpha", "RGB": "RGB", "RGBA": "RGBA"}
EIGHT_BIT_GREY = ("1", "L")
WIDE_GREY = ("I", "F")  # with every I;16 variant
ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
MEGAPIXELS = 89.0
"""Pillow's own bound on what a file may unpack to: a small file can hold a picture that fills the memory."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """pixels: float32 (height, width, channels), 0 black and 1 white. `mode` says what the file held."""

    path: Path
    pixels: npt.NDArray[np.float32]
    mode: str


def need_pillow() -> Any:
    """The PIL.Image module; CliError that names the extra where Pillow is missing."""
    try:
        from PIL import Image
    except ImportError:
        raise CliError("reading images needs Pillow: pip install 'convforge[image]'") from None
    return Image


def load_photograph(path: Path, channels: int | None, megapixels: float = MEGAPIXELS) -> Photograph:
    """Reads the file's first frame, turned upright by its EXIF tag, with the number of channels asked for.

    channels: 1 grey (ITU-R 601 luma), 2 grey and alpha, 3 RGB, 4 RGBA, None 1 or 3 as the file has.
    Alpha is kept where there is a channel for it, and else laid over white. Grey of 16 or 32 bits and floats
    keep their precision; colour of 16 bits is read with 8, as Pillow does. Colour profiles are not applied.

    Raises CliError for a file that is missing, cut, no image, or larger than `megapixels`.
    """
    image_module = need_pillow()
    check_file(path)
    image = decode(image_module, path, megapixels)
    try:
        if image.mode in WIDE_GREY or image.mode.startswith("I;16"):
            words = "grey, 16 bits" if image.mode.startswith("I;16") else f"grey, mode {image.mode}"
            pixels, mode = wide_grey(image, path), words
            return Photograph(path, with_channels(pixels, channels or 1), mode)
        mode = WORDS.get(image.mode, str(image.mode))
        wanted = MODES[channels or (1 if image.mode in (*EIGHT_BIT_GREY, "LA", "La") else 3)]
        image = to_mode(image_module, image, wanted)
    except (OSError, ValueError) as error:
        raise CliError(f"{readable(path)}: cannot be converted: {reason(error)}: save it as PNG") from None
    pixels = np.asarray(image, dtype=np.float32) / np.float32(255)
    mode = mode if WORDS[wanted] == mode else f"{mode}, read as {WORDS[wanted]}"
    return Photograph(path, np.atleast_3d(pixels), mode)


def check_channels(channels: int) -> None:
    """Refuses a layer whose in_channels no photograph has."""
    if channels not in MODES:
        raise CliError(
            f"--layer: in_channels is {channels} and a photograph has 1 (grey), 2 (grey and alpha), 3 (RGB) "
            "or 4 (RGBA) channels: change in_channels to one of these"
        )


def check_file(path: Path) -> None:
    """Refuses what is not a readable file, with a close name where there is one."""
    try:
        if path.is_file():
            if path.stat().st_size == 0:
                raise CliError(f"{readable(path)}: the file is empty: copy it again")
            return
        if path.exists():
            raise CliError(f"{readable(path)}: neither a file nor a folder: give an image file")
        if path.is_symlink():
            raise CliError(f"{readable(path)}: a link that leads nowhere: give the file itself")
        siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    except (OSError, ValueError) as error:
        raise CliError(f"{readable(path)}: cannot be read: {reason(error)}: check the path") from None
    close = difflib.get_close_matches(path.name, siblings, n=1)
    hint = f"did you mean {readable(path.parent / close[0])}?" if close else "check the name"
    raise CliError(f"{readable(path)}: no such file: {hint}")


def decode(image_module: Any, path: Path, megapixels: float) -> Any:
    """The upright first frame as a PIL image.

    Raises CliError; a decoder raises whatever it likes on a damaged file, so everything is caught here.
    """
    from PIL import ImageOps

    name = readable(path)
    image_module.MAX_IMAGE_PIXELS = max(1, int(megapixels * 1e6))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", image_module.DecompressionBombWarning)
            with image_module.open(path) as image:
                image.load()
                return ImageOps.exif_transpose(image)
    except image_module.UnidentifiedImageError:
        raise CliError(
            f"{name}: not an image that Pillow can read: convert it to PNG, JPEG or TIFF"
        ) from None
    except (image_module.DecompressionBombError, image_module.DecompressionBombWarning):
        raise CliError(
            f"{name}: more than {megapixels:g} megapixels: shrink it, or raise --megapixels if you trust it"
        ) from None
    except PermissionError:
        raise CliError(f"{name}: no permission to read it: change its owner or mode") from None
    except MemoryError:
        raise CliError(f"{name}: does not fit into memory: shrink it") from None
    except Exception as error:
        raise CliError(f"{name}: damaged or cut short ({reason(error)}): copy it again") from None


def wide_grey(image: Any, path: Path) -> npt.NDArray[np.float32]:
    """Grey of more than 8 bits as 0…1: integers by their range, floats as they are if they are within it."""
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise CliError(f"{readable(path)}: holds NaN or infinite pixels: replace them first")
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


def find_photographs(given: list[str]) -> list[Path]:
    """The files meant: each path itself, or the images in it if it is a folder (sorted, not its subfolders).

    Raises CliError for a folder without images, and for an empty name, which is often a shell variable
    that is not set: as a path it would mean the current folder.
    """
    image_module = need_pillow()
    image_module.init()
    suffixes = set(image_module.registered_extensions())
    found: list[Path] = []
    for text in given:
        if not text:
            raise CliError(
                "apply: PHOTO is empty: name an image file or a folder, or give . for the folder you are in"
            )
        path = Path(text)
        try:
            if not path.is_dir():
                found.append(path)
                continue
            images = sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes and p.is_file())
        except (OSError, ValueError) as error:
            raise CliError(f"{readable(path)}: cannot be read: {reason(error)}: check the path") from None
        if not images:
            raise CliError(f"{readable(path)}: no images in this folder: give one that holds PNG, JPEG, …")
        found += images
    return list(dict.fromkeys(found))


def demo_photograph() -> Path:
    """Grace Hopper, 1984, by James S. Davis, US Navy: public domain; part of matplotlib's sample data."""
    try:
        from matplotlib import cbook
    except ImportError:
        raise CliError("--demo needs matplotlib: pip install 'convforge[image]'") from None
    return Path(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
