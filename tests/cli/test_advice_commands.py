"""`convforge solve`, `compare`, `advise` and `reconcile`: what they print, and how they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convforge.cli.command import main

FIVE = "Conv2d(8, 8, 5, padding=2)"
THREES = "Conv2d(8, 8, 3, padding=1), Conv2d(8, 8, 3, padding=1)"
MODEL = """
from convforge import nn

def build():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "advised_on.py").write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path)
    return "advised_on:build"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["solve", "--input", "32", "--output", "16"], "Conv2d(3, 64, 3, stride=2, padding=1)"),
        (
            ["solve", "--input", "14x15", "--output", "28x30", "--transposed"],
            "ConvTranspose2d(3, 64, 4, stride=2",
        ),
        (
            ["solve", "--input", "56", "--output", "56", "--field", "7", "--kernel", "3"],
            "padding=3, dilation=3",
        ),
        (
            ["solve", "--input", "160", "--output", "80", "--rank", "1", "--in-channels", "1"],
            "Conv1d(1, 64, 3",
        ),
        (
            ["solve", "--input", "32", "--output", "9", "--kernel", "3", "--stride", "2", "--dilation", "1"],
            "nearest",
        ),
        (["reconcile", "Conv2d(3, 64, 3, padding=1)", "--input", "3x224x224"], "86,704,128"),
        (["compare", FIVE, THREES, "--input", "8x12x12", "--no-measure"], "72%"),
        (["compare", FIVE, THREES, "--input", "8x12x12"], "Measured here"),
        (["advise", FIVE, "--input", "8x12x12"], "[two-3x3]"),
        (["advise", THREES, "--input", "8x12x12"], "No rule has anything to say"),
        (["advise", FIVE, "--input", "8x12x12", "--measure"], "measured here"),
        (["advise", "Conv2d(32, 32, 3, padding=1)", "--input", "32x9x9", "--small-device"], "groups=32"),
        (["advise", "--principles"], "- two-3x3: 3×3 by default"),
    ],
)
def test_it_prints(capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    assert main([*arguments, "--language", "en"]) == 0
    assert says in capsys.readouterr().out
    assert main([*arguments, "--language", "zh"]) == 0
    chinese = capsys.readouterr().out
    assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese)
    assert main([*arguments, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert main([*arguments, "--format", "markdown", "--language", "en"]) == 0
    assert capsys.readouterr().out.startswith(("## ", "- `"))


def test_a_model_is_advised_on_and_compared(capsys: pytest.CaptureFixture[str], model: str) -> None:
    assert main(["advise", model, "--input", "3x20x20", "--language", "en"]) == 0
    assert "[bias-before-norm]" in capsys.readouterr().out
    assert (
        main(["compare", model, "Conv2d(3, 8, 3, padding=1)", "--input", "3x20x20", "--language", "en"]) == 0
    )
    out = capsys.readouterr().out
    assert "a = Sequential" in out
    assert "240" in out  # 224 of the layer and 16 of the norm


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["solve", "--input", "32"], "--output 16"),
        (["solve", "--input", "32", "--output", "a"], "--output 'a'"),
        (["solve", "--input", "0", "--output", "3"], "input_size (=0)"),
        (["solve", "--input", "32", "--output", "16", "--rank", "7"], "rank (=7)"),
        (["solve", "--output", "16"], "--input"),
        (["reconcile", "Conv2d(3, 8, 3", "--input", "3x8x8"], "never closed"),
        (["reconcile", "Conv2d(3, 8, 3)", "--input", "4x8x8"], "in_channels (=3)"),
        (["reconcile", "Conv2d(3, 8, 3)", "--input", "3x8"], "--input 3x8"),
        (["compare", "Conv2d(3, 8, 3)", "Conv2d(3, 8, 3), Conv2d(9, 9, 1)", "--input", "3x8x8"], "gives 8"),
        (["compare", "Conv2d(3, 8, 3)", "nothing", "--input", "3x8x8"], "MODULE:NAME"),
        (["advise"], "--principles"),
        (["advise", "Linear(3, 4)", "--input", "3x8x8"], "not a convolution layer"),
        (["advise", "no.such.module:thing", "--input", "3x8x8"], "ModuleNotFoundError"),
        (["advise", FIVE, "--input", "8x12x12", "--format", "pdf"], "--format"),
        (["advise", FIVE, "--input", "8x12x12", "--batch", "0"], "must be positive"),
    ],
)
def test_it_refuses_in_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert says in printed.err
    assert printed.err.count("\n") == 1


def test_a_model_that_fails_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing_model.py").write_text("def build():\n    raise KeyError('lost\\nkey')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["advise", "failing_model:build", "--input", "3x8x8"]) == 2
    assert "KeyError" in capsys.readouterr().err
