"""Drawings that must not change unnoticed, byte for byte.

After a change that is meant, look at every drawing and renew the files:

    python tests/draw/test_golden.py
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convforge.draw import Drawing, drawing
from convforge.explain import as_layer
from convforge.plan import explain
from convforge.schedule import GatherSchedule

FOLDER = Path(__file__).parent / "golden"
Request = tuple[str, dict[str, Any]]

GOLDEN: dict[str, Request] = {
    "cell-of-the-notes": ("cell", {"layer": "Conv1d(1, 1, 3, bias=False)", "input_size": 16, "at": 0}),
    "cell-2d": (
        "cell",
        {
            "layer": "Conv2d(2, 1, 3, padding=1, padding_mode='reflect')",
            "input_size": 4,
            "at": (0, 1),
            "theme": "dark",
            "language": "zh",
        },
    ),
    "cell-transposed-3d": ("cell", {"layer": "ConvTranspose3d(1, 1, 2, stride=2)", "input_size": 2}),
    "size-formula": ("size_formula", {"theme": "auto"}),
    "size-formula-transposed": (
        "size_formula",
        {
            "layer": "ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1)",
            "input_size": (3, 4),
            "language": "zh",
        },
    ),
    "size-formula-large": (
        "size_formula",
        {"layer": "Conv1d(3, 64, 7, stride=2, padding=3)", "input_size": 224},
    ),
    "padding-modes": ("padding", {"input_size": 4}),
    "padding-1d": (
        "padding",
        {"layer": "Conv1d(1, 1, 5, padding=3, padding_mode='circular')", "input_size": 6, "language": "zh"},
    ),
    "padding-folded": (
        "padding",
        {"layer": "ConvTranspose2d(1, 1, 3, padding=1, padding_mode='replicate')", "input_size": 3},
    ),
    "dilation": ("dilation", {"input_size": 7}),
    "groups": ("groups", {"language": "zh"}),
    "matrix-of-the-notes": ("matrix", {}),
    "transposed": ("transposed", {}),
    "output-padding": ("output_padding", {}),
    "overlap": ("overlap", {"theme": "dark"}),
    "receptive-field": ("receptive_field", {}),
    "gradient": ("gradient", {"input_size": 4}),
    "tile-plan": ("tile_plan", {}),
}


def made(name: str) -> Drawing:
    kind, arguments = GOLDEN[name]
    arguments = {"language": "en", "theme": "light", **arguments}
    if kind == "tile_plan":
        arguments |= _plan()
    return drawing(kind, **arguments)


def _plan() -> dict[str, Any]:
    """An explanation that is not this machine's."""
    layer = as_layer("Conv2d(4, 8, 3, padding=1)")
    schedule = GatherSchedule(
        mr=4, nv=1, lanes=8, channel_block=4, band_tiles=2, tile_group=1, channel_tiles=1, group_block=1,
        packed=True,
    )  # fmt: skip
    here = explain(layer.spec((5, 6)))
    return {
        "layer": layer,
        "explanation": replace(here, family="direct", kernel="direct 4x1 float32", schedule=schedule),
    }


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    expected = (FOLDER / f"{name}.svg").read_text("utf-8")
    found = made(name).svg
    assert found == expected, f"{name}.svg differs: look at it, and renew it if that was meant ({__doc__})"


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(GOLDEN)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in GOLDEN:
        made(each).save(FOLDER / f"{each}.svg")
        print(f"{each}.svg")
