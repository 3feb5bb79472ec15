"""`convforge explain` and `convforge summary`: what is printed, and mistakes in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convforge.cli import main

NET = """
from convforge import nn
import convforge as torch

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(4, 8)

    def forward(self, x, y):
        return self.a(x) + self.b(y)[:, :, None, None]

def build():
    return nn.Sequential(nn.Conv2d(3, 20, 3), nn.ReLU(), nn.Conv2d(20, 8, 3))

def wrong():
    return nn.Sequential(nn.Conv2d(3, 20, 3), nn.Conv2d(8, 8, 3))

class Fails(nn.Module):
    def forward(self, x):
        raise KeyError("two\\nlines")

two, number = Two(), 3
"""


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of nets that is in the folder."""
    name = f"net_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(NET, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return name


def printed(capsys, *arguments: str) -> str:
    assert main(list(arguments)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_explain_a_layer(capsys) -> None:
    out = printed(
        capsys, "explain", "Conv2d(3, 64, 3, padding=1)", "--input", "3x224x224", "--language", "en"
    )
    assert out.startswith("Conv2d(3, 64, 3, padding=1): 1×3×224×224 → 1×64×224×224, float32\n")
    assert "⌊(224 + 2·1 − 1·(3 − 1) − 1) / 1⌋ + 1 = 224" in out
    assert "感受野" in printed(capsys, "explain", "Conv1d(1, 1, 3)", "--input", "1x9", "--language", "zh")
    assert "5×4×8×8" in printed(capsys, "explain", "LazyConv2d(2, 3)", "--input", "4x8x8", "--batch", "5")


def test_explain_in_every_format(capsys) -> None:
    given = ["explain", "ConvTranspose1d(4, 8, 4, stride=2)", "--input", "4x9", "--dtype", "float64"]
    facts = json.loads(printed(capsys, *given, "--format", "json"))
    assert facts["output_shape"] == [1, 8, 20]
    assert facts["dtype"] == "float64"
    assert printed(capsys, *given, "--format", "markdown").startswith("## ConvTranspose1d")
    assert "<table" in printed(capsys, *given, "--format", "html")


def test_summary_of_a_model(net, capsys) -> None:
    out = printed(capsys, "summary", f"{net}:build", "--input", "3x12x12", "--batch", "2", "--language", "en")
    assert out.startswith("Sequential: 2×3×12×12, float32\n")
    assert "2×8×8×8" in out
    assert "2,008 trained" in out
    given = ["summary", f"{net}:two", "--input", "3x8x8", "--input", "4", "--batch", "3", "--format", "json"]
    assert json.loads(printed(capsys, *given))["layers"][0]["outputs"] == [[3, 8, 8, 8]]
    given = ["summary", f"{net}:build", "--input", "3x12x12", "--columns", "output,jump", "--depth", "0"]
    assert "receptive field" not in printed(capsys, *given, "--language", "en")


def test_summary_of_a_layer(capsys) -> None:
    out = printed(capsys, "summary", "LazyConv2d(8, 3)", "--input", "3x12x12", "--language", "zh")
    assert "1×8×10×10" in out
    assert "参数量" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["explain", "Conv2d(3, 8, 3)"], "--input"),
        (["explain", "Conv2d(3, 8, 3)", "--input", "3"], "channels and sizes"),
        (["explain", "Conv2d(3, 8, 3)", "--input", "3x0x9"], "must be positive"),
        (["explain", "Conv2d(3, 8, 3)", "--input", "4x9x9"], "has 4 channels"),
        (["explain", "Conv2d(3, 8, 3)", "--input", "3x2x2"], "use more padding"),
        (
            ["explain", "Conv2d(3, 8, 3)", "--input", "3x9"],
            "Conv2d takes channels and 2 sizes, as in",
        ),
        (["explain", "Conf2d(3, 8, 3)", "--input", "3x9x9"], "did you mean Conv2d"),
        (["explain", "__import__('os')", "--input", "3x9x9"], "not a convolution layer"),
        (["explain", "Conv2d(3, 8, 3)", "--input", "3x9x9", "--dtype", "floaty"], "floaty"),
        (["explain", "Conv2d(3, 8, 3)", "--input", "3x9x9", "--language", "fr"], "--language"),
        (["explain", "Conv2d(3, 8, 3)", "--input", "3x9x9", "--format", "pdf"], "--format"),
        (["summary", "conv", "--input", "3x9x9"], "MODULE:NAME"),
        (["summary", "no_such_module:net", "--input", "3x9x9"], "ModuleNotFoundError"),
        (["summary", "{net}:number", "--input", "3x9x9"], "number"),
        (["summary", "{net}:wrong", "--input", "3x9x9"], "(in 1 (Conv2d), input [1, 20, 7, 7])"),
        (["summary", "{net}:Fails", "--input", "3x9x9"], "two"),
        (["summary", "{net}:two", "--input", "3x9x9"], "missing 1 required"),
        (["summary", "{net}:build", "--input", "3x9x9", "--columns", "flops"], "no such column"),
        (["summary", "{net}:build", "--input", "3x9x9", "--depth", "-1"], "must not be negative"),
    ],
)
def test_mistakes_are_one_line(arguments, words, net, capsys) -> None:
    assert main([argument.replace("{net}", net) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("convforge: ")
    assert err.count("\n") == 1
    assert words in err
