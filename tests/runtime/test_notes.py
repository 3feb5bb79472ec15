"""Measured choices on disk: whole or not at all, never trusted blindly, bounded, cleared with the kernels."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from convforge import runtime
from convforge.runtime import notes as shared
from convforge.runtime.notes import LIMIT_BYTES, Notes


def the_file(folder: Path) -> Path:
    (file,) = (folder / "notes").glob("*.note")
    return file


def test_another_process_reads_what_one_has_written(tmp_path: Path) -> None:
    Notes(tmp_path).write("key", ["direct", 3])
    assert Notes(tmp_path).read("key") == ["direct", 3]
    assert Notes(tmp_path).read("other") is None
    assert Notes(tmp_path).count() == 1


def test_without_a_folder_they_last_as_long_as_the_process() -> None:
    notes = Notes(None)
    assert notes.is_empty()
    notes.write("key", 1)
    assert notes.read("key") == 1
    assert not notes.is_empty()


def test_no_folder_is_made_and_none_is_read_before_the_first_note(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    assert notes.is_empty()
    assert notes.read("key") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 200], ids=["empty", "cut", "foreign"])
def test_a_broken_file_is_no_note_and_is_said_once(tmp_path: Path, damage: bytes) -> None:
    Notes(tmp_path).write("key", 1)
    the_file(tmp_path).write_bytes(damage)
    notes = Notes(tmp_path)
    with pytest.warns(RuntimeWarning, match="cut, corrupted or not this user's own"):
        assert notes.read("key") is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert notes.read("key") is None
    notes.write("key", 2)
    assert Notes(tmp_path).read("key") == 2


def test_a_note_of_another_key_is_not_taken_for_this_one(tmp_path: Path) -> None:
    Notes(tmp_path).write("key", 1)
    file = the_file(tmp_path)
    content = file.read_bytes()
    Notes(tmp_path).write("another", 2)
    (other,) = set(file.parent.glob("*.note")) - {file}
    other.write_bytes(content)
    with pytest.warns(RuntimeWarning):
        assert Notes(tmp_path).read("another") is None


def test_they_are_bounded_in_bytes(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    for number in range(5):
        notes.write(f"key {number}", "x" * (LIMIT_BYTES // 3))
    assert sum(f.stat().st_size for f in (tmp_path / "notes").iterdir()) <= LIMIT_BYTES


def test_the_epoch_grows_with_every_change(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    epochs = [notes.epoch]
    for change in (lambda: notes.write("key", 1), notes.touch, lambda: notes.move(None), notes.clear):
        change()
        epochs.append(notes.epoch)
    assert epochs == sorted(set(epochs))


def test_clearing_the_cache_clears_them(tmp_path: Path) -> None:
    before = runtime.loader.disk.folder
    try:
        runtime.set_cache_dir(tmp_path)
        shared.write("key", 1)
        assert runtime.cache_info()["notes"] == 1
        runtime.cache_clear()
        assert shared.read("key") is None
        assert runtime.cache_info()["notes"] == 0
    finally:
        runtime.set_cache_dir(before)
