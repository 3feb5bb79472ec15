"""The examples print what the notes print, and what the same lines print with PyTorch in the import lines."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
needs_pictures = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("PIL", "matplotlib")),
    reason="pillow and matplotlib are not installed (the extra `image`)",
)

GHOST = """\
GhostModule(
  (primary_conv): Sequential(
    (0): Conv2d(3, 8, kernel_size=(1, 1), stride=(1, 1), bias=False)
    (1): BatchNorm2d(8, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    (2): ReLU(inplace=True)
  )
  (cheap_op): Sequential(
    (0): Conv2d(8, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), groups=8, bias=False)
    (1): BatchNorm2d(8, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    (2): ReLU6(inplace=True)
  )
)
torch.Size([1, 16, 32, 32])
torch.Size([1, 3, 34, 34])
"""
# Whole pieces of the notes' own output, in order; spaces do not count (PyTorch has changed them since).
NOTES = {
    "note1_ghost_module.py": [GHOST],
    "note2_image_conv.py": [
        "卷积前尺寸:torch.Size([1, 3, 512, 512])\n卷积后尺寸:torch.Size([1, 1, 510, 510])",
        "卷积前尺寸:torch.Size([1, 3, 512, 512])\n卷积后尺寸:torch.Size([1, 1, 1025, 1025])",
    ],
    "note3_parameters.py": [
        "(1, 3, 32, 32) -> (1, 64, 15, 15) 1792 parameters",
        "(1, 3, 32, 32) -> (1, 64, 32, 32) 1792 parameters",
        "(1, 3, 32, 32) -> (1, 6, 30, 30) 60 parameters",
        "ValueError:",
    ],
    "note4_groups_and_conv1d.py": [
        "torch.Size([20, 33, 26, 100])",
        "torch.Size([6, 1, 7, 7])",
        "conv1d sample",
        "x variable: tensor([[[0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12., 13., 14., 15.]]])",
        "weights: tensor([[[0.1000, 0.2000, 0.3000]]])",
        "y: tensor([[[0.8000, 1.4000, 2.0000, 2.6000, 3.2000, 3.8000, 4.4000, 5.0000, 5.6000, 6.2000, "
        "6.8000, 7.4000, 8.0000, 8.6000]]])",
        "0x0.1+1x0.2+2x0.3=0.8",
        "1x0.1+2x0.2+3x0.3=1.4",
    ],
    "note5_fuse_conv_bn.py": ["torch.Size([1, 16, 32, 32])"],
}
NUMBER = re.compile(r"-?\d+\.?\d*(?:e[-+]?\d+)?")


def run(script: Path) -> str:
    """Standard output of an example, with warnings as errors of the test."""
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", script],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=False,
        cwd=script.parent,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the examples, so that pictures go to out/ beside it."""
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def squeezed(text: str) -> str:
    """The text without white space."""
    return "".join(text.split())


@needs_pictures
@pytest.mark.parametrize("name", sorted(NOTES))
def test_prints_what_the_note_prints(name: str, checkout: Path) -> None:
    printed = squeezed(run(checkout / "examples" / name))
    end = 0
    for piece in map(squeezed, NOTES[name]):
        assert piece in printed[end:]
        end = printed.index(piece, end) + len(piece)


@needs_pictures
@pytest.mark.parametrize("name", sorted(NOTES))
def test_prints_what_pytorch_prints(name: str, checkout: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    ours = run(checkout / "examples" / name)
    for path in (checkout / "examples").rglob("*.py"):
        path.write_text(re.sub(r"\bconvforge\b", "torch", path.read_text("utf-8")), "utf-8")
    theirs = run(checkout / "examples" / name)

    def without_messages(text: str) -> str:  # our messages say more than PyTorch's
        return squeezed(re.sub(r"ValueError: .*", "ValueError", text))

    ours, theirs = without_messages(ours), without_messages(theirs)
    assert NUMBER.sub("#", ours) == NUMBER.sub("#", theirs)
    pairs = zip(NUMBER.findall(ours), NUMBER.findall(theirs), strict=True)
    assert all(float(a) == pytest.approx(float(b), rel=2e-4, abs=2e-4) for a, b in pairs)


@needs_pictures
def test_the_image_example_draws_its_pictures(checkout: Path) -> None:
    run(checkout / "examples" / "note2_image_conv.py")
    drawn = sorted(path.name for path in (checkout / "out").glob("note2_image_conv-*.png"))
    assert drawn == [f"note2_image_conv-{k}.png" for k in (1, 2, 3, 4)]


@needs_pictures
def test_the_digits_are_learned(checkout: Path) -> None:
    for name in ("sklearn", "tqdm"):
        pytest.importorskip(name, reason=f"{name} is not installed (the extra `examples`)")
    printed = run(checkout / "examples" / "train_digits.py")
    share = re.search(r"held-out digits read correctly: \d+ of 360 = (\d+\.\d+)%", printed)
    assert share is not None, printed
    assert float(share[1]) >= 98
    assert {path.name for path in (checkout / "out").glob("digits-*.png")} == {
        "digits-loss.png",
        "digits-kernels.png",
    }
