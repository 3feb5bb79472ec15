"""Photographs as the command line names them: files, and folders of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convforge.cli.failure import CliError, readable, reason, refusals
from convforge.draw import photograph
from convforge.draw.photograph import MEGAPIXELS, MODES, Photograph, PhotographError

__all__ = [
    "MEGAPIXELS",
    "Photograph",
    "check_channels",
    "demo_photograph",
    "find_photographs",
    "load_photograph",
    "need_pillow",
]


def need_pillow() -> Any:
    """The PIL.Image module; CliError that names the extra where Pillow is missing."""
    with refusals():
        return photograph.need_pillow()


def load_photograph(path: Path, channels: int | None, megapixels: float = MEGAPIXELS) -> Photograph:
    """`draw.photograph.load_photograph`, which says what it does; refuses with CliError."""
    try:
        return photograph.load_photograph(path, channels, megapixels)
    except PhotographError as error:
        # The library names its argument, the command line its option.
        raise CliError(str(error).replace("raise megapixels", "raise --megapixels")) from None


def demo_photograph() -> Path:
    """`draw.photograph.demo_photograph`; CliError that names the extra where matplotlib is missing."""
    with refusals():
        return photograph.demo_photograph()


def check_channels(channels: int) -> None:
    """Refuses a layer whose in_channels no photograph has."""
    if channels not in MODES:
        raise CliError(
            f"--layer: in_channels is {channels} and a photograph has 1 (grey), 2 (grey and alpha), 3 (RGB) "
            "or 4 (RGBA) channels: change in_channels to one of these"
        )


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
