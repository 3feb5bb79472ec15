"""Compiled kernels on disk: found again, never trusted blindly, bounded, shared."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from convforge.kernels.contract import FingerprintKernel
from convforge.runtime import loading
from convforge.runtime.cache import DiskCache, default_folder
from convforge.runtime.forge import Forge
from convforge.runtime.image import Image
from convforge.runtime.loading import Loader, generator_version
from convforge.target import Target

TARGET = Target.host()
KERNEL = FingerprintKernel(TARGET.vector_bytes // 4)


def load(folder: Path) -> str:
    """Where a fresh process would get the kernel from."""
    return (
        Loader(DiskCache(folder), Forge(1))
        .load(repr(KERNEL), TARGET, lambda deliver: KERNEL.emit(TARGET.triple, deliver))
        .source
    )


def test_the_second_process_does_not_compile(tmp_path: Path) -> None:
    assert load(tmp_path) == "compiled"
    assert load(tmp_path) == "disk"


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign", "empty"])
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: str) -> None:
    load(tmp_path)
    (file,) = tmp_path.glob("*.image")
    data = file.read_bytes()
    file.write_bytes(
        {
            "cut": data[: len(data) // 2],
            "flipped": data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
            "foreign": b"\x7fELF" + bytes(500),
            "empty": b"",
        }[damage]
    )
    assert load(tmp_path) == "compiled"
    assert load(tmp_path) == "disk"


def test_an_image_under_another_kernels_name_is_refused(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    cache.write("one", b"code")
    (file,) = tmp_path.glob("*.image")
    cache.write("two", b"other")
    (other,) = set(tmp_path.glob("*.image")) - {file}
    file.replace(other)
    assert cache.read("two") is None


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permission bits are POSIX's")
def test_a_file_that_others_can_write_is_not_run(tmp_path: Path) -> None:
    load(tmp_path)
    (file,) = tmp_path.glob("*.image")
    file.chmod(0o666)
    assert load(tmp_path) == "compiled"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permission bits are POSIX's")
def test_the_folder_is_the_users_alone(tmp_path: Path) -> None:
    load(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


def test_the_folder_is_bounded_and_leaves_no_litter(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, limit_bytes=5000)
    for i in range(20):
        cache.write(f"kernel {i}", bytes(1000))
        os.utime(cache._path(f"kernel {i}"), (i, i))
    assert cache.size_bytes() <= 5000
    assert cache.read("kernel 19") == bytes(1000)
    assert cache.read("kernel 0") is None
    assert not list(tmp_path.glob("*.part"))
    cache.clear()
    assert cache.count() == 0


def test_a_folder_that_cannot_be_made_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert load(tmp_path / "file" / "folder") == "compiled"


def test_the_folder_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONVFORGE_CACHE_DIR", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv("CONVFORGE_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "convforge"


def test_image_serialisation() -> None:
    image = Image(b"\x90\xc3", {"task": 1})
    assert Image.from_bytes(image.to_bytes()) == image
    with pytest.raises(ValueError, match="not an image"):
        Image.from_bytes(b"something else")


@pytest.mark.skipif(
    not (sys.platform == "linux" and TARGET.is_x86), reason="elsewhere LLVM's own loader starts the code"
)
def test_a_warm_process_starts_without_llvm(tmp_path: Path) -> None:
    program = (
        "import numpy as np, sys\n"
        "import convforge.nn.functional as F\n"
        "y = F.conv2d(np.ones((1, 3, 9, 9), np.float32), np.ones((2, 3, 3, 3), np.float32))\n"
        "assert (y == 27).all()\n"
        "print(any(name.split('.')[0] == 'llvmlite' for name in sys.modules))\n"
    )
    environment = os.environ | {"CONVFORGE_CACHE_DIR": str(tmp_path)}
    seen = [
        subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(2)
    ]
    assert seen == ["True", "False"]


@pytest.mark.parametrize("place", ["ir/vector.py", "kernels/contract.py", "kernels/direct/room/tile.py"])
def test_kernels_of_other_generators_are_not_taken(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generator in a room within a room, too: its kernels read their parameters by number."""
    source = tmp_path / place
    for folder in (source.parent, *(tmp_path / name for name in ("ir", "kernels", "runtime"))):
        folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(loading, "__file__", str(tmp_path / "runtime" / "loading.py"))
    seen: set[str] = set()
    for text in ("", "one", "two"):
        source.write_text(text)
        generator_version.cache_clear()
        seen.add(generator_version())
    generator_version.cache_clear()
    assert len(seen) == 3


def test_all_generators_count() -> None:
    package = Path(loading.__file__).parent.parent
    for folder in ("ir", "kernels", "runtime"):
        found = loading._sources(str(package / folder))
        assert set(found) == set(map(str, (package / folder).rglob("*.py")))
