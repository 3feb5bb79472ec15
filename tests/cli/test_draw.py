"""`convforge draw`: every drawing by name, its options, and mistakes in one line."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from convforge.cli import main
from convforge.draw import DRAWINGS


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_drawing_has_an_example(name, capsys) -> None:
    assert main(["draw", name, "--language", "en"]) == 0
    assert capsys.readouterr().out == f"{name}.svg\n"
    ElementTree.parse(f"{name}.svg")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["padding", "--mode", "reflect", "--input", "5x5"], ["padding_mode='reflect'"]),
        (
            ["padding", "--mode", "circular", "--layer", "Conv1d(1, 1, 3, padding=2)", "--input", "6"],
            ["circular"],
        ),
        (["cell", "--layer", "Conv2d(3, 2, 3, padding=1)", "--input", "3x6x6", "--at", "0,1"], ["(0, 1)"]),
        (["cell", "--layer", "Conv2d(1, 1, 3)", "--input", "6", "--no-numbers"], ["1×6×6"]),
        (
            ["receptive_field", "--layer", "Conv1d(1, 1, 3)", "--layer", "Conv1d(1, 1, 3)", "--input", "9"],
            ["sees 5 of the input"],
        ),
        (["groups", "--theme", "dark"], ["cf-dark"]),
    ],
)
def test_options(arguments, words) -> None:
    assert main(["draw", *arguments, "--language", "en", "--out", "new/a.svg"]) == 0
    text = Path("new/a.svg").read_text("utf-8").replace("&#x27;", "'")
    for word in words:
        assert word in text


def test_languages() -> None:
    for language, title in (("en", "Padding:"), ("zh", "填充：")):
        assert main(["draw", "padding", "--language", language, "--out", "a.svg"]) == 0
        assert title in Path("a.svg").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["paddin"], "did you mean padding"),
        (["cell", "--layer", "Conv2d(3, 8)"], "kernel_size"),
        (["cell", "--layer", "Conv2d(3, 8, 3"], "not a layer"),
        (["cell", "--input", "axb"], "whole numbers"),
        (["cell", "--input", "0"], "positive"),
        (["cell", "--at", "99"], "99"),
        (["cell", "--mode", "reflect"], "--layer"),
        (["padding", "--mode", "mirror"], "mirror"),
        (["padding", "--at", "1"], "does not take 'at'"),
        (["matrix", "--input", "50x50"], "64"),
        (["cell", "--layer", "Conv1d(1, 1, 3)", "--layer", "Conv1d(1, 1, 3)"], "one layer"),
        (["cell", "--layer", "Conv2d(1, 1, 9)", "--input", "5x5"], "kernel"),
        (["cell", "--out", "a.bmp"], ".bmp"),
        (["cell", "--out", "."], "is a folder"),
        (["cell", "--theme", "blue"], "blue"),
        (["cell", "--out", "a.svg/b.svg"], "a.svg"),
    ],
)
def test_mistakes(arguments, words, capsys) -> None:
    Path("a.svg").write_text("a file", "utf-8")
    assert main(["draw", *arguments]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    assert words in error
