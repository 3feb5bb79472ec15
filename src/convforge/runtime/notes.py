"""What was found out by measuring on this machine, kept beside the compiled kernels for later processes."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from convforge.runtime.cache import DiskCache

# A note takes some 400 bytes: thousands of shapes.
LIMIT_BYTES = 4 << 20
_MEMORY_LIMIT = 4096


class Notes:
    """Values by key, of what JSON can hold; on disk in the folder `notes` of `folder`, unless that is None.

    `epoch` grows whenever a note may have come, gone or changed: who has acted on notes compares it.
    """

    def __init__(self, folder: Path | None) -> None:
        self.epoch = 0
        self._disk = _disk(folder)
        self._kept: dict[str, Any] = {}
        self._warned = False

    def is_empty(self) -> bool:
        """Whether there is certainly no note: a look at a folder's name, so that most processes read none."""
        return not self._kept and (self._disk.folder is None or not self._disk.folder.is_dir())

    def read(self, key: str) -> Any | None:
        """The note of a key, or None. A file that is cut, foreign or corrupted warns once and is none."""
        if key in self._kept:
            return self._kept[key]
        content = self._disk.read(key)
        if content is not None:
            try:
                value = json.loads(content)
            except ValueError:
                value = None
            if value is not None:
                self._keep(key, value)
                return value
        if not self._warned and self._disk.holds(key):
            self._warned = True
            warnings.warn(
                f"a measured choice in {self._disk.folder} is cut, corrupted or not this user's own, and is "
                "ignored: tune again, or remove it with `convforge cache --clear`",
                RuntimeWarning,
                stacklevel=2,
            )
        return None

    def write(self, key: str, value: Any) -> None:
        """Keep a value in memory, and on disk if there is a folder that can be written."""
        self._keep(key, value)
        self._disk.write(key, json.dumps(value).encode())
        self.touch()

    def touch(self) -> None:
        """Have everybody who has acted on notes look again."""
        self.epoch += 1

    def count(self) -> int:
        """How many notes are on disk."""
        return self._disk.count()

    def clear(self) -> None:
        """Remove all notes, from disk too."""
        self._disk.clear()
        self._kept.clear()
        self.touch()

    def move(self, folder: Path | None) -> None:
        """Go on in another folder, with what lies there."""
        self._disk = _disk(folder)
        self._kept.clear()
        self.touch()

    def _keep(self, key: str, value: Any) -> None:
        if len(self._kept) >= _MEMORY_LIMIT:
            self._kept.pop(next(iter(self._kept)), None)
        self._kept[key] = value


def _disk(folder: Path | None) -> DiskCache:
    return DiskCache(None if folder is None else folder / "notes", LIMIT_BYTES, suffix=".note")
