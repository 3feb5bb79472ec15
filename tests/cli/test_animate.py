"""`convforge animate` and `convforge feature-maps` write whole files, and refuse in one line."""

from __future__ import annotations

import numpy as np
import pytest

from convforge.cli import animate, main
from convforge.draw.animation import MOVING
from convforge.draw.animations import ANIMATIONS
from convforge.draw.theme import THEMES
from support.animated import read_animated

Image = pytest.importorskip("PIL.Image")
LAYER = "Conv2d(1, 1, 2)"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("p.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "p.png").read_bytes()[:120])
    return tmp_path


def test_the_words_of_the_command_line_are_the_librarys():
    assert tuple(ANIMATIONS) == animate.NAMES
    assert MOVING == animate.MOVING
    assert THEMES == animate.THEMES


@pytest.mark.parametrize(
    "arguments",
    [
        ["sliding", "--layer", LAYER, "--input", "3x3", "--language", "zh"],
        ["sliding", "--layer", LAYER, "--input", "1x3x3", "--seconds", "0.1"],
        ["transposed", "--layer", "ConvTranspose1d(1, 1, 2)", "--input", "3", "--theme", "dark"],
        ["dilation", "--layer", "Conv1d(1, 1, 2)"],
        ["groups", "--layer", "Conv1d(2, 4, 1)"],
        ["scan", "--photo", "p.png", "--layer", "Conv2d(3, 1, 3)", "--seed", "4"],
        ["scan", "--photo", "p.png", "--kernel", "laplacian"],
    ],
)
def test_animate_writes(folder, capsys, arguments):
    assert main(["animate", *arguments]) == 0
    out = capsys.readouterr().out
    name = f"{arguments[0]}.svg"
    assert out.startswith(f"{name}: ")
    read = read_animated((folder / name).read_text("utf-8"))
    assert f"{read.seconds:.1f} s" in out
    assert sorted(p.name for p in folder.iterdir()) == sorted(["cut.png", "p.png", name])


def test_animate_writes_gif(folder):
    pytest.importorskip("vl_convert")
    assert (
        main(
            ["animate", "sliding", "--layer", LAYER, "--input", "3", "--out", "deep/a.gif", "--scale", "0.5"]
        )
        == 0
    )
    with Image.open("deep/a.gif") as gif:
        assert gif.n_frames == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["animate", "slidding"], "did you mean sliding"),
        (["animate", "sliding", "--layer", "Conv2d(1, 1"], "not a layer"),
        (["animate", "sliding", "--layer", "Conv2d(1, 1, 0)"], "kernel_size"),
        (["animate", "sliding", "--layer", LAYER, "--input", "a"], "whole numbers"),
        (["animate", "sliding", "--layer", LAYER, "--input", "0"], "positive"),
        (["animate", "sliding", "--layer", LAYER, "--input", "2x3x4"], "each of the 2 axes"),
        (["animate", "sliding", "--out", "a.jpg"], ".jpg is not written: use .svg, .gif, .png"),
        (["animate", "sliding", "--out", "p.png/a.svg"], "is not a folder"),
        (["animate", "sliding", "--seconds", "0"], "0.02 or more"),
        (["animate", "sliding", "--seconds", "nan"], "0.02 or more"),
        (["animate", "sliding", "--demo"], "use it with scan"),
        (["animate", "scan"], "no photograph"),
        (["animate", "scan", "--photo", "p.png", "--demo"], "both"),
        (["animate", "scan", "--photo", "cut.png"], "damaged or cut short"),
        (["animate", "scan", "--photo", "p.png", "--input", "3"], "leave it out"),
        (["animate", "scan", "--photo", "p.png", "--kernel", "sobel"], "use sobel-x"),
        (["animate", "scan", "--photo", "p.png", "--megapixels", "0.00001"], "raise --megapixels"),
        (["animate", "scan", "--photo", "p.png", "--megapixels", "0"], "above 0"),
        (["animate", "scan", "--photo", "p.png", "--layer", "Conv1d(3, 1, 3)"], "write Conv2d"),
        (["animate", "scan", "--photo", "p.png", "--layer", "Conv2d(7, 1, 3)"], "photograph has 1"),
        (["feature-maps", "Conv2d(3, 2, 3)"], "no photograph"),
        (["feature-maps", "Conv2d(3, 2, 3)", "--photo", "nowhere.png"], "no such file"),
        (["feature-maps", "Conv2d(3, 2, 3)", "--photo", "cut.png"], "damaged or cut short"),
        (["feature-maps", "Conv2d(3, 2, 3)", "--photo", "p.png", "--channels", "x"], "commas"),
        (["feature-maps", "Conv2d(3, 2, 3)", "--photo", "p.png", "--channels", "2"], "from 0 to 1"),
        (["feature-maps", "Conv2d(3, 2, 30)", "--photo", "p.png"], "Kernel size"),
        (["feature-maps", "Conv2d(3, 2, 3)", "--photo", "p.png", "--out", "a.gif"], ".gif is not written"),
        (["feature-maps", "Conv2d(3, 2, 3)", "--photo", "p.png", "--largest", "0"], "largest"),
        (["feature-maps", "Conv2d(3, 2, 3)", "--photo", "p.png", "--out", "a.png", "--scale", "-1"], "scale"),
        (["feature-maps", "Conv2d(3, 2, 3)", "--photo", "p.png", "--seed", str(2**65)], "64 bits"),
        (["feature-maps", "nowhere:net", "--photo", "p.png"], "nowhere"),
        (["feature-maps", "nowhere:net", "--photo", "p.png", "--kernel", "box"], "its own weights"),
    ],
)
def test_refusals_are_one_line(folder, capsys, arguments, words):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith("convforge: ")
    assert error.count("\n") == 1
    assert sorted(p.name for p in folder.iterdir()) == ["cut.png", "p.png"]


def test_feature_maps_writes_what_is_asked_for(folder, capsys):
    pytest.importorskip("vl_convert")
    (folder / "mynet.py").write_text(
        "from convforge import nn\nnet = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())\n"
    )
    calls = [
        (["Conv2d(3, 2, 3)", "--out", "a.svg", "--language", "zh"], b"<svg"),
        (["Conv2d(1, 1, 3)", "--kernel", "emboss", "--out", "b.png"], b"\x89PNG"),
        (["mynet:net", "--channels", "1", "--out", "c.pdf"], b"%PDF"),
        (["Conv2d(1, 1, 3)"], b"<svg"),
    ]
    for arguments, start in calls:
        assert main(["feature-maps", *arguments, "--photo", "p.png"]) == 0
        name = capsys.readouterr().out.strip()
        assert (folder / name).read_bytes().startswith(start)
    assert (folder / "feature-maps.svg").exists()
