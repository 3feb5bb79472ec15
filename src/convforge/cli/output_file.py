"""Where results go: names that do not collide, files that are whole or absent."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from convforge.cli.failure import CliError, readable, reason

DEFAULT_FOLDER = Path("out")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".pdf", ".svg")
RAW = ".npy"


def choose_outputs(photographs: list[Path], out: str | None) -> list[Path]:
    """One output path a photograph.

    out: a file (for one photograph), a folder, or None for `out/`. In a folder a result is named after its
    photograph, with the suffix in the name where two share a stem: a.jpg, a.png -> a.png, a-png.png.

    Raises CliError for one file for several photographs, an unknown suffix, a place that cannot be written,
    and for a photograph that would be overwritten.
    """
    if out is not None and (not out or "\0" in out):
        raise CliError("--out: an empty name, or one with a zero byte: give another place")
    folder = DEFAULT_FOLDER if out is None else Path(out)
    if out is not None and folder.suffix and not folder.is_dir() and not out.endswith(("/", os.sep)):
        if len(photographs) > 1:
            raise CliError(
                f"--out {readable(out)}: one file for {len(photographs)} photographs: give a folder"
            )
        if folder.suffix.lower() not in (*PICTURES, RAW):
            raise CliError(
                f"--out {readable(out)}: {folder.suffix} is not written: use {', '.join((*PICTURES, RAW))}"
            )
        chosen = [folder]
    else:
        chosen = name_in_folder(photographs, folder)
    for path in chosen:
        check_place(path)
    inputs = {os.path.realpath(path) for path in photographs if os.path.exists(path)}
    for path in chosen:
        if os.path.realpath(path) in inputs:
            raise CliError(f"--out {readable(path)}: would overwrite the photograph: give another name")
    return chosen


def name_in_folder(photographs: list[Path], folder: Path) -> list[Path]:
    """Names after the photographs, told apart by suffix and then by number."""
    chosen: dict[Path, None] = {}
    for photograph in photographs:
        stem = photograph.stem
        options = [stem, f"{stem}-{photograph.suffix.lstrip('.')}"]
        number = 2
        while (path := folder / f"{options[0]}.png") in chosen:
            options = options[1:] or [f"{stem}-{number}"]
            number += len(options) == 1
        chosen[path] = None
    return list(chosen)


def check_place(path: Path) -> None:
    """Refuses an output that cannot be written, before the work is done."""
    try:
        if path.is_dir():
            raise CliError(f"--out {readable(path)}: is a folder: give a file name in it")
        parent = path.parent
        while not parent.exists():
            parent = parent.parent
        if not parent.is_dir():
            raise CliError(f"--out {readable(path)}: {readable(parent)} is not a folder: give another place")
        if not os.access(parent, os.W_OK):
            raise CliError(
                f"--out {readable(path)}: no permission to write in {readable(parent)}: give another place"
            )
    except (OSError, ValueError) as error:
        raise CliError(f"--out {readable(path)}: {reason(error)}: give another place") from None


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """`draw.whole_file.write_whole`: the file is whole or not there. Refuses with CliError."""
    from convforge.draw import whole_file

    try:
        whole_file.write_whole(path, write)
    except OSError as error:
        raise CliError(
            f"--out {readable(path)}: cannot be written: {reason(error)}: give another place"
        ) from None
