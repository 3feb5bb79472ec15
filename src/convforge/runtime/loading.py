"""From an emitted module to callable addresses: memory cache, disk cache, compiler, in this order."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convforge._version import __version__
from convforge.runtime.cache import DiskCache, default_folder
from convforge.runtime.cores import available_cores
from convforge.runtime.forge import Forge, Pending, guard_forks
from convforge.runtime.image import Image, link
from convforge.runtime.memory import ExecutableMemory
from convforge.runtime.notes import Notes
from convforge.target import Target

if TYPE_CHECKING:
    from convforge.ir.emitter import Deliver

# Returns a module's IR, less the parts that it has delivered (ir/emitter.py); given None, all of it.
Emit = Callable[["Deliver | None"], str]

# Images are linked by us where object files are ELF and pages can be sealed by mprotect; elsewhere LLVM's
# own loader does both, at the cost of importing llvmlite in every process.
LINKS_ITSELF = sys.platform == "linux" and Target.host().is_x86


@dataclass(frozen=True, slots=True)
class Loaded:
    """Machine code in memory: the address of each function, and what must live as long as it."""

    addresses: dict[str, int]
    keep: Any
    source: str  # "disk" or "compiled"


class Loader:
    """Makes machine code runnable, each module once in a process."""

    def __init__(self, disk: DiskCache, forge: Forge) -> None:
        self.disk = disk
        self._forge = forge
        self._loaded: dict[tuple[str, Target], Pending[Loaded]] = {}
        self._lock = threading.Lock()

    def begin(self, name: str, target: Target, emit: Emit) -> Pending[Loaded]:
        """Have the code of a module made. `name` describes it in full; `emit` is called if needed."""
        key = (name, target)
        found = self._loaded.get(key)
        if found is not None:
            return found
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = self._begin(key, emit)
            return self._loaded[key]

    def load(self, name: str, target: Target, emit: Emit) -> Loaded:
        """The same, waited for."""
        return self.begin(name, target, emit).result()

    def _begin(self, key: tuple[str, Target], emit: Emit) -> Pending[Loaded]:
        name, target = key
        place = f"{name}|{target.triple}|{target.feature_string}|{generator_version()}"
        stored = self.disk.read(place)
        if stored is not None:
            # Sooner done than handed to another thread: 0.3 ms.
            return self._forge.now(lambda: _start(stored, "disk"))

        def make() -> Loaded:
            try:
                return self._make(place, target, emit)
            except BaseException:
                self._loaded.pop(key, None)  # whoever asks again tries again
                raise

        return self._forge.begin(make)

    def _make(self, place: str, target: Target, emit: Emit) -> Loaded:
        from convforge.runtime.compiler import compile_object

        if LINKS_ITSELF:
            parts: list[Pending[bytes]] = []
            rest = emit(lambda text: parts.append(self._forge.begin(lambda: compile_object(text, target))))
            code = link([compile_object(rest, target), *(part.result() for part in parts)]).to_bytes()
        else:
            code = compile_object(emit(None), target)
        self.disk.write(place, code)
        return _start(code, "compiled")

    def clear(self) -> None:
        """Forget what is loaded, as a new process would. Code in use stays in memory."""
        with self._lock:
            self._loaded.clear()


def _start(code: bytes, source: str) -> Loaded:
    if LINKS_ITSELF:
        image = Image.from_bytes(code)
        memory = ExecutableMemory(image.code)
        return Loaded({name: memory.address + at for name, at in image.entries.items()}, memory, source)
    from convforge.runtime.jit import start_object

    addresses, engine = start_object(code)
    return Loaded(addresses, engine, source)


@lru_cache(maxsize=2)
def generator_version(*more: str) -> str:
    """What emitted code depends on besides its name: this package, its generators' source, llvmlite.

    more: further folders of the package whose source counts.
    """
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for folder in ("ir", "kernels", "runtime", *more):
        for path in _sources(str(root / folder)):
            with open(path, "rb", buffering=0) as source:
                digest.update(source.read())
    # llvmlite's version without importing it, and without importlib.metadata, which takes 16 ms to import.
    compiler = find_spec("llvmlite")
    assert compiler is not None
    assert compiler.origin is not None
    digest.update(Path(compiler.origin).with_name("_version.py").read_bytes())
    return f"{__version__}|{digest.hexdigest()[:24]}"


def _sources(folder: str) -> Iterator[str]:
    """The Python files of a folder and of all rooms in it. Reading 123 files takes 2.2 ms of a first call's 7
    to 9, found by pathlib 3.5.
    """
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir():
            yield from _sources(entry.path)
        elif entry.name.endswith(".py"):
            yield entry.path


_forge = Forge(available_cores() - 1)
guard_forks(_forge)
loader = Loader(DiskCache(default_folder()), _forge)


notes = Notes(loader.disk.folder)


def set_cache_dir(folder: str | Path | None) -> None:
    """Keep compiled kernels and measured choices in `folder`; None keeps nothing on disk."""
    loader.disk = DiskCache(None if folder is None else Path(folder))
    notes.move(loader.disk.folder)


def cache_info() -> dict[str, Any]:
    """Where compiled kernels are kept: {"folder", "images", "bytes", "limit_bytes", "loaded", "notes"}.

    notes: how many measured choices and constants lie beside them.
    """
    disk = loader.disk
    return {
        "folder": None if disk.folder is None else str(disk.folder),
        "images": disk.count(),
        "bytes": disk.size_bytes(),
        "limit_bytes": disk.limit_bytes,
        "loaded": len(loader._loaded),
        "notes": notes.count(),
    }


def cache_clear() -> None:
    """Remove compiled kernels and measured choices from disk and forget those in memory."""
    loader.disk.clear()
    notes.clear()
    loader.clear()
