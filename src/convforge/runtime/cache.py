"""Files on disk, one for each key that something was made from: bounded in bytes, never trusted blindly.

A file is written under a temporary name and renamed, so processes that share a folder see whole files or
none. A file that is cut, foreign or corrupted fails its checksum and is made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from pathlib import Path

LIMIT_BYTES = 64 << 20
_CHECKSUM_BYTES = 32
# The folder is looked through for files above the limit once one process has written this share of it, and
# at one write in so many of any process. At every write, that took 250 ms for 15,000 small files.
_TRIM_SHARE, _TRIM_ONE_IN = 1 / 32, 64


def default_folder() -> Path:
    """$CONVFORGE_CACHE_DIR, or convforge in the user's cache folder; no other setting is read anywhere."""
    chosen = os.environ.get("CONVFORGE_CACHE_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "convforge"


class DiskCache:
    """A folder of files of one kind, which `suffix` tells from others. `folder` None keeps nothing."""

    def __init__(
        self, folder: Path | None, limit_bytes: int = LIMIT_BYTES, *, suffix: str = ".image"
    ) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._suffix = suffix
        self._untrimmed_bytes = 0

    def read(self, key: str) -> bytes | None:
        """The stored bytes, or None where there are none that can be trusted."""
        if self.folder is None:
            return None
        try:
            path = self._path(key)
            if not self._is_ours(path):
                return None
            data = path.read_bytes()
        except OSError:
            return None
        checksum, content = data[:_CHECKSUM_BYTES], data[_CHECKSUM_BYTES:]
        return content if hashlib.sha256(key.encode() + content).digest() == checksum else None

    def holds(self, key: str) -> bool:
        """Whether there is a file for a key, to be trusted or not."""
        return self.folder is not None and self._path(key).is_file()

    def write(self, key: str, content: bytes) -> None:
        """Store bytes. A folder that cannot be written costs the next process a compile, nothing else."""
        if self.folder is None:
            return
        # Not the user's error, and not this call's business: the kernel is in memory already.
        with contextlib.suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            checksum = hashlib.sha256(key.encode() + content).digest()
            handle, name = tempfile.mkstemp(dir=self.folder, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(checksum + content)
                os.replace(name, self._path(key))
            except BaseException:
                os.unlink(name)
                raise
            self._untrimmed_bytes += len(content)
            one_of_many = int.from_bytes(checksum[:4]) % _TRIM_ONE_IN == 0
            if one_of_many or self._untrimmed_bytes > _TRIM_SHARE * self.limit_bytes:
                self._untrimmed_bytes = 0
                self._trim()

    def size_bytes(self) -> int:
        """Bytes of all stored images."""
        return sum(size for _, size, _ in self._files())

    def count(self) -> int:
        """How many images are stored."""
        return len(self._files())

    def clear(self) -> None:
        """Remove every image, and what an interrupted write left behind."""
        for path, _, _ in self._files(leftovers=True):
            path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / (hashlib.sha256(key.encode()).hexdigest()[:40] + self._suffix)

    def _is_ours(self, path: Path) -> bool:
        """Code is run only from a file that this user owns and nobody else can write."""
        if not hasattr(os, "getuid"):
            return True
        status = path.stat()
        return status.st_uid == os.getuid() and not status.st_mode & 0o022

    def _files(self, leftovers: bool = False) -> list[tuple[Path, int, float]]:
        found: list[tuple[Path, int, float]] = []
        if self.folder is None or not self.folder.is_dir():
            return found
        for path in self.folder.iterdir():
            if path.suffix == self._suffix or (leftovers and path.suffix == ".part"):
                with contextlib.suppress(FileNotFoundError):  # another process may trim at the same time
                    status = path.stat()
                    found.append((path, status.st_size, status.st_mtime))
        return found

    def _trim(self) -> None:
        """Remove the oldest files above the limit, and temporary files older than an hour."""
        files = sorted(self._files(leftovers=True), key=lambda f: f[2])
        total = sum(size for _, size, _ in files)
        for path, size, written in files:
            stale = path.suffix == ".part" and written < time.time() - 3600
            if total > self.limit_bytes or stale:
                path.unlink(missing_ok=True)
                total -= size
