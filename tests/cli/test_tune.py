"""`convforge tune`: layers and models, what is printed and kept, and mistakes in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from convforge import runtime
from convforge.cli import main


@pytest.fixture(autouse=True)
def own_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    threads = runtime.get_num_threads()
    runtime.notes.move(tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    yield
    runtime.set_num_threads(threads)
    runtime.notes.move(runtime.loader.disk.folder)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("Conv2d(3, 20, 3)", "3x12x12"),
        ("nn.ConvTranspose1d(4, 2, 3, stride=2)", "4x50"),
        ("LazyConv3d(8, 2)", "3x4x5x6"),
    ],
)
def test_a_layer(text, size, capsys):
    assert main(["tune", text, "--input", size, "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert "gain" in out
    assert "of the limit" in out
    assert "kept in" in out
    assert runtime.notes.count() >= 2  # the choice, and what the machine can do
    assert main(["tune", text, "--input", size, "--threads", "1"]) == 0
    assert "nothing to measure" in capsys.readouterr().out


def test_a_model(tmp_path, capsys):
    (tmp_path / "a_net_to_tune.py").write_text(
        "from convforge import nn\n"
        "def build():\n    return nn.Sequential(nn.Conv2d(3, 20, 3), nn.ReLU(), nn.Conv2d(20, 8, 3))\n"
        "made = build()\n"
        "number = 3\n"
        "def broken():\n    raise KeyError('what')\n",
        encoding="utf-8",
    )
    for name in ("build", "made"):
        runtime.notes.clear()
        options = ["--input", "3x12x12", "--batch", "2", "--any-order", "--precision", "high"]
        assert main(["tune", f"a_net_to_tune:{name}", *options]) == 0
        assert capsys.readouterr().out.count("\n2x") == 2
    for name in ("number", "broken", "missing"):
        assert main(["tune", f"a_net_to_tune:{name}", "--input", "3x12x12"]) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Conv2d(3, 8, 3)"], "--input"),
        (["Conv2d(3, 8, 3)", "--input", "3"], "channels and sizes"),
        (["Conv2d(3, 8, 3)", "--input", "3xx4"], "channels and sizes"),
        (["Conv2d(3, 8, 3)", "--input", "3x0x4"], "must be positive"),
        (["Conv2d(3, 8, 3)", "--input", "3x9x9", "--batch", "0"], "must be positive"),
        (["Conv2d(3, 8, 3)", "--input", "3x9x9", "--threads", "0"], "must be positive"),
        (["Conv2d(3, 8, 3)", "--input", "3x9x9", "--precision", "low"], "must be one of"),
        (["Conv2d(3, 8, 3)", "--input", "4x9x9"], "channels"),
        (["Conv2d(3, 8, 3)", "--input", "3x2x2"], "tune"),
        (["Conv2d(3, 8, 3)", "--input", "3x9999999x9999999"], "more than half of the memory"),
        (["Conf2d(3, 8, 3)", "--input", "3x9x9"], "did you mean Conv2d"),
        (["conv", "--input", "3x9x9"], "MODULE:NAME"),
        (["no_such_module:net", "--input", "3x9x9"], "ModuleNotFoundError"),
    ],
)
def test_mistakes(arguments, words, capsys):
    assert main(["tune", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert words in captured.err
