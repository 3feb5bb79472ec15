"""The SVG writer, the measuring table, positions, themes, and a drawing as notebooks and files have it."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings, strategies as st

from convforge import draw
from convforge.draw.grid import cell_name, shown
from convforge.draw.layout import column, flow, line, row
from convforge.draw.measure import pieces, text_width, wrapped
from convforge.draw.svg import element, number, path
from convforge.draw.theme import CELLS, ROLES, THEMES, style_sheet
from convforge.errors import ConvTypeError, ConvValueError
from convforge.explain import set_language


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.5, "1.5"),
        (2.0, "2"),
        (-0.001, "0"),
        (0.005, "0.01"),
        (100, "100"),
        (-3.25, "-3.25"),
        (1e6, "1000000"),
    ],
)
def test_numbers_are_short(value, text) -> None:
    assert number(value) == text


@given(st.text())
@settings(max_examples=50)
def test_any_text_can_be_written_and_read_back(text: str) -> None:
    root = element("svg", element("text", text, aria_label=text))
    parsed = ElementTree.fromstring(str(root))
    kept = "".join(c if c.isprintable() or c == " " else "" for c in text)
    found = "".join(c if c.isprintable() or c == " " else "" for c in (parsed[0].text or ""))
    assert found.replace("?", "") == kept.replace("?", "")


def test_attributes_are_escaped_and_named() -> None:
    written = str(element("g", "a<b", class_='x"y', stroke_width=2, left_out=None))
    assert written == '<g class="x&quot;y" stroke-width="2">a&lt;b</g>'
    assert path((0, 0), (10, 0.5), closed=True) == "M0 0L10 0.5Z"


def test_widths() -> None:
    assert text_width("iii", 10) < text_width("www", 10)
    assert text_width("卷积", 10) == 20
    assert text_width("0123", 10) == pytest.approx(22.24)
    assert text_width("ab", 20) == 2 * text_width("ab", 10)


@given(st.text("ab cd，。（卷积核", max_size=60), st.integers(20, 200))
def test_wrapped_lines_fit_and_nothing_is_lost(text: str, width: int) -> None:
    lines = wrapped(text, 10, width)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    for each in lines:
        # One word or one Chinese character with its punctuation may stand alone, however wide.
        assert text_width(each, 10) <= width or len(pieces(each)) == 1
    for each in lines[1:]:
        assert not each.startswith(("，", "。"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"size": 3, "before": 1, "after": 1}, (-1, 0, 1, 2, 3)),
        ({"size": 9, "limit": 5}, (0, 1, None, 7, 8)),
        ({"size": 20, "limit": 6, "keep": [10]}, (0, 1, None, 9, 10, 11, None, 18, 19)),
        ({"size": 8, "limit": 6, "keep": [3]}, (0, 1, 2, 3, 4, 5, 6, 7)),
    ],
)
def test_positions_shown(arguments, expected) -> None:
    assert shown(**arguments) == expected


@given(st.integers(1, 500), st.integers(0, 3), st.lists(st.integers(0, 499), max_size=9), st.integers(3, 30))
def test_positions_keep_what_they_must(size, pad, keep, limit) -> None:
    keep = [k for k in keep if k < size]
    found = shown(size, before=pad, after=pad, keep=keep, limit=limit)
    numbers = [at for at in found if at is not None]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == -pad
    assert numbers[-1] == size + pad - 1
    if len(set(keep)) <= 8:
        assert set(keep) <= set(numbers)
    assert found[0] is not None
    assert found[-1] is not None
    if None not in found:
        assert numbers == list(range(-pad, size + pad))


def test_cell_names() -> None:
    assert cell_name("input", (0, 3)) == "input-0-3"
    assert cell_name("input", (-1, 2)) == "input-n1-2"


def test_boxes_do_not_overlap() -> None:
    boxes = [line("a" * n) for n in (3, 9, 5)]
    assert row(*boxes, gap=10).width == sum(box.width for box in boxes) + 20
    assert column(*boxes, gap=10).height == sum(box.height for box in boxes) + 20
    narrow = flow(boxes, max(box.width for box in boxes))
    assert narrow.width == max(box.width for box in boxes)


@pytest.mark.parametrize("theme", THEMES)
def test_every_role_has_a_rule(theme) -> None:
    sheet = style_sheet(theme, ROLES)
    for role in ROLES:
        assert f".cf-{theme} .{role.replace(' ', '.')}{{" in sheet
    assert ("@media" in sheet) == (theme == "auto")
    assert sheet.count("{") == sheet.count("}")


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("shade", [0, 1])
def test_numbers_can_be_read_on_every_cell(shade) -> None:
    for role, style in CELLS.items():
        if role.startswith(("scale", "bar")) or style.fill[shade] == "none":
            continue
        assert contrast(ROLES["text"].fill[shade], style.fill[shade]) >= 4.5, role
    for role in ("text", "muted", "t-input", "t-kernel", "t-output", "t-gradient"):
        assert contrast(ROLES[role].fill[shade], CELLS["ground"].fill[shade]) >= 4.5, role
    for step in range(7):
        text = "text" if step < 4 else "on-dark"
        assert contrast(ROLES[text].fill[shade], CELLS[f"scale{step}"].fill[shade]) >= 4.5, step


@pytest.mark.parametrize("shade", [0, 1])
def test_roles_differ_without_colour(shade) -> None:
    """Printed in grey: by texture, dashes, width of the border or shape where lightness is alike."""
    apart = ("input", "zeros", "reflect", "replicate", "circular", "cut", "kernel", "gradient")
    looks = {}
    for role in apart:
        style = CELLS[role]
        looks[role] = (style.texture, bool(style.dash), style.width)
    assert len(set(looks.values())) == len(apart)
    groups = [CELLS[f"group{i}"].texture for i in range(6)]
    assert len(set(groups)) == 6
    steps = [luminance(CELLS[f"scale{i}"].fill[shade]) for i in range(7)]
    assert steps in (sorted(steps), sorted(steps, reverse=True))


def test_a_drawing_stands_alone() -> None:
    drawing = draw.cell(language="en")
    for word in ("http://", "https://", "url(", "<script", "@import", "<image"):
        assert word not in drawing.svg.replace('xmlns="http://www.w3.org/2000/svg"', "")
    root = ElementTree.fromstring(drawing.svg)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == drawing.title
    assert root[0].text == drawing.title
    assert root[1].text == drawing.description
    assert drawing._repr_svg_() == drawing.svg
    assert str(drawing.root) in drawing._repr_html_()


def test_the_language_is_the_one_set() -> None:
    set_language("zh")
    try:
        assert draw.groups().language == "zh"
        assert draw.groups(language="en").language == "en"
    finally:
        set_language(None)


def test_the_same_drawing_is_the_same_text() -> None:
    assert draw.matrix(language="zh").svg == draw.matrix(language="zh").svg


def test_saved_files(tmp_path) -> None:
    drawing = draw.groups(language="zh")
    path = drawing.save(tmp_path / "new" / "groups.svg")
    assert path.read_text("utf-8") == drawing.svg
    with pytest.raises(ConvValueError, match=r"\.bmp"):
        drawing.save(tmp_path / "groups.bmp")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"name": "paddin"}, ConvValueError, "did you mean padding"),
        ({"name": "zzz"}, ConvValueError, "known are cell"),
        ({"name": "cell", "mode": "reflect"}, ConvTypeError, "'mode'"),
        ({"name": "cell", "theme": "blue"}, ConvValueError, "'blue'"),
        ({"name": "cell", "language": "de"}, ConvValueError, "'de'"),
        ({"name": "cell", "at": 99}, ConvValueError, "99"),
        ({"name": "cell", "out_channel": 1}, ConvValueError, "out_channel"),
        ({"name": "cell", "layer": "Conv2d(1, 1, 3)", "input_size": (5, 5, 5)}, ConvValueError, "5x5x5"),
        ({"name": "cell", "layer": "Conv1d(1, 1, 3)", "x": [1.0]}, RuntimeError, "x of shape"),
        ({"name": "transposed", "layer": "Conv2d(1, 1, 3)"}, ConvValueError, "not transposed"),
        ({"name": "output_padding", "layer": "Conv2d(1, 1, 3)"}, ConvValueError, "not transposed"),
        ({"name": "output_padding", "layer": "ConvTranspose2d(1, 1, 3)"}, ConvValueError, "stride"),
        ({"name": "receptive_field", "layer": []}, ConvValueError, "at least one"),
        (
            {"name": "receptive_field", "layer": ["Conv1d(1, 2, 3)", "Conv1d(1, 1, 3)"]},
            ConvValueError,
            "layer 2",
        ),
        (
            {"name": "receptive_field", "layer": ["Conv1d(1, 1, 3)", "Conv2d(1, 1, 3)"]},
            ConvValueError,
            "axes",
        ),
        ({"name": "gradient", "grad_output": [1.0]}, RuntimeError, "grad_output"),
        ({"name": "padding", "mode": "mirror"}, ValueError, "mirror"),
    ],
)
def test_mistakes_are_said_in_one_line(arguments, error, words) -> None:
    with pytest.raises(error, match=words) as caught:
        draw.drawing(**arguments)
    assert "\n" not in str(caught.value)


class Asked:
    """As a finding of `advise` asks for a drawing."""

    def __init__(self, name: str, layers: tuple[str, ...], input_size: tuple[int, ...]) -> None:
        self.name, self.layers, self.input_size = name, layers, input_size


@pytest.mark.parametrize("name", [name for name in draw.DRAWINGS if name not in ("tile_plan", "blocks")])
@pytest.mark.parametrize(
    ("layers", "size"),
    [
        (("ConvTranspose2d(64, 128, 4, stride=2, padding=1)",), (56, 56)),
        (("ConvTranspose1d(960, 960, 5, stride=3, groups=960)",), (7000,)),
    ],
)
def test_what_advice_asks_for_can_be_drawn_of_large_layers(name, layers, size) -> None:
    found = draw.drawing_for(Asked(name, layers, size), language="en")
    assert found.width < 2000
    assert replace(found).svg == found.svg
