"""How docstrings are laid out for the reference."""

from __future__ import annotations

import importlib.util

import pytest

from support.doc_pages import ROOT


@pytest.fixture(scope="module")
def laid_out():
    pytest.importorskip("griffe", reason="griffe is not installed: pip install -e '.[docs]'")
    spec = importlib.util.spec_from_file_location("docstrings", ROOT / "docs" / "hooks" / "docstrings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.laid_out


def test_arguments_become_a_list(laid_out) -> None:
    text = "Says.\n\nstride: of the windows,\nin elements. padding, *sizes: of each side.\n"
    assert laid_out(text) == (
        "Says.\n\n- **stride**: of the windows, in elements.\n- **padding, \\*sizes**: of each side."
    )


def test_what_is_said_before_arguments_stays_before_them(laid_out) -> None:
    assert laid_out("Of (N, C)\nweight: of it.") == "Of (N, C)\n\n- **weight**: of it."


def test_a_colon_within_a_sentence_makes_no_argument(laid_out) -> None:
    assert laid_out("It is so: nothing else\nis.") == "It is so: nothing else is."


def test_examples_are_code_and_programs_are_coloured(laid_out) -> None:
    text = "Says.\n\nx: the input.\n\n    print(advise(layer, 56))\n\nRaises ValueError for a bad one."
    assert laid_out(text) == (
        "Says.\n\n- **x**: the input.\n\n```python\nprint(advise(layer, 56))\n```\n\n"
        "**Raises** ValueError for a bad one."
    )
    drawn = "Says.\n\n    x  1 2 3\n       └───┘   one window"
    assert laid_out(drawn) == "Says.\n\n```\nx  1 2 3\n   └───┘   one window\n```"


def test_columns_drawn_with_spaces_stay_as_they_are(laid_out) -> None:
    assert laid_out("svg, theme      text of SVG\nshapes          cells and lines") == (
        "```\nsvg, theme      text of SVG\nshapes          cells and lines\n```"
    )
