"""Results have names of their own, and a file is whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from convforge.cli.failure import CliError
from convforge.cli.output_file import choose_outputs, write_whole


def names(photographs, out):
    return [str(path) for path in choose_outputs([Path(name) for name in photographs], out)]


def test_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert names(["a/b.jpg"], None) == [str(Path("out/b.png"))]
    assert names(["a/b.jpg"], "x.pdf") == ["x.pdf"]
    assert names(["a/b.jpg"], "x.npy") == ["x.npy"]
    assert names(["a/b.jpg"], "x.png/") == [str(Path("x.png/b.png"))]
    assert names(["b.jpg", "c.gif"], "deep/er") == [str(Path("deep/er/b.png")), str(Path("deep/er/c.png"))]


def test_photographs_of_one_name_do_not_overwrite_each_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = names(["x/a.jpg", "y/a.jpg", "z/a.jpg", "a.png", "a-jpg.png"], "o")
    assert len(set(found)) == 5
    assert found[:2] == [str(Path("o/a.png")), str(Path("o/a-jpg.png"))]


@pytest.mark.parametrize(
    ("photographs", "out", "words"),
    [
        (["a.jpg", "b.jpg"], "x.png", "give a folder"),
        (["a.jpg"], "x.docx", ".docx is not written"),
        (["p.png"], "p.png", "would overwrite"),
        (["a.jpg"], "file.txt/x.png", "is not a folder"),
        (["a.jpg"], "file.txt/inner/", "is not a folder"),
        (["a.jpg"], "nul\0.png", "give another place"),
    ],
)
def test_refusals_before_the_work(tmp_path, monkeypatch, photographs, out, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("x")
    (tmp_path / "p.png").write_text("x")
    with pytest.raises(CliError, match=words):
        names(photographs, out)
    assert sorted(os.listdir(tmp_path)) == ["file.txt", "p.png"]


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("x")]
)
def test_nothing_is_left_of_a_failed_write(tmp_path, failure):
    target = tmp_path / "x.png"
    target.write_text("before")

    def write(file):
        file.write(b"half")
        raise failure

    expected = CliError if isinstance(failure, OSError) else type(failure)
    with pytest.raises(expected, match="no space left" if expected is CliError else None):
        write_whole(target, write)
    assert os.listdir(tmp_path) == ["x.png"]
    assert target.read_text() == "before"


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_the_file_has_the_mode_of_any_new_file(tmp_path):
    write_whole(tmp_path / "new/x.bin", lambda file: file.write(b"whole"))
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "new/x.bin").read_bytes() == b"whole"
    assert (tmp_path / "new/x.bin").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_place_that_takes_no_files(tmp_path):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(CliError, match="is a folder"):
        write_whole_checked(tmp_path / "folder.png")
    with pytest.raises(CliError, match="cannot be written"):
        write_whole(Path("/proc/nothing/x.png"), lambda file: file.write(b"x"))


def write_whole_checked(path):
    from convforge.cli.output_file import check_place

    check_place(path)
