"""A layer explained: what is said is what the layer does."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from convforge import nn
from convforge.explain import explain
from convforge.problem import padding_map

TEXT = """\
Conv2d(1, 2, 3, stride=2, padding=1): 1×1×6×7 → 1×2×3×4, float32

Output size
  out = ⌊(in + padding − dilation·(kernel − 1) − 1) / stride⌋ + 1
  H: ⌊(6 + 2·1 − 1·(3 − 1) − 1) / 2⌋ + 1 = 3
  W: ⌊(7 + 2·1 − 1·(3 − 1) − 1) / 2⌋ + 1 = 4
  every input element is read

Padding
  H: 1 before: zeros; 1 after: zeros
  W: 1 before: zeros; 1 after: zeros

Parameters
  weight 2×1×3×3 = 18, bias 2: 20 in all

Arithmetic
                         nominal  on real data
  ────────────────────────────────────────────
  multiply-adds              216           160
  multiplications            216           160
  additions of products      192           136
  additions of the bias       24            24

Bytes
  input                           168  168 B
  weight                           72   72 B
  bias                              8    8 B
  output                           96   96 B
  moved, each once                344  344 B
  kept for backward (the input)   168  168 B
  operations per byte            1.26

Receptive field
  axis  size  jump  centre of output 0  output 0 reads
  ────────────────────────────────────────────────────
  H        3     2                 0.5          −1 … 1
  W        3     2                 0.5          −1 … 1"""


def test_the_whole_text() -> None:
    made = explain("Conv2d(1, 2, 3, stride=2, padding=1)", (6, 7), language="en")
    assert made.text() == str(made) == TEXT


def test_chinese() -> None:
    made = explain("ConvTranspose1d(1, 1, 2, stride=3, padding=1)", (3,), language="zh")
    assert "输出尺寸" in str(made)
    assert "L：有 2 个输出位置没有任何乘积，只有偏置：1, 4" in str(made)
    assert "从输出上裁掉" in str(made)
    assert str(made) == made.text("zh") != made.text("en")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_columns_stand_below_each_other(language) -> None:
    """In a terminal, where a Chinese character takes two columns: numbers end where their header ends."""
    from convforge.explain.table import width

    lines = explain("Conv2d(3, 64, 3)", (3, 224, 224)).text(language).splitlines()
    at = next(i for i, line in enumerate(lines) if "乘加次数" in line or "multiply-adds" in line)
    table = lines[at - 2 : at + 4]
    assert len({width(line) for line in table}) == 1
    assert set(table[1].strip()) == {"─"}


@pytest.mark.parametrize(
    ("text", "size", "words"),
    [
        ("Conv1d(1, 1, 3, stride=2)", (6,), ["L: the floor drops 1 at the end that no window reaches: 5"]),
        ("Conv1d(1, 1, 1, stride=3)", (7,), ["L: 4 input elements lie between the taps", "1…2, 4…5"]),
        ("Conv1d(1, 1, 1, stride=2)", (99,), ["1, 3, 5, 7, 9, …, 97"]),
        (
            "ConvTranspose1d(1, 1, 1, padding=1)",
            (5,),
            ["2 input elements only reach what padding cuts off: 0, 4"],
        ),
        ("Conv1d(1, 1, 3, padding=2, padding_mode='reflect')", (5,), ["copied from 2, 1", "3, 2"]),
        ("ConvTranspose1d(1, 1, 3, padding=1, padding_mode='circular')", (5,), ["added onto 4"]),
        ("Conv2d(1, 1, 3, padding='same')", (5, 5), ["H: 1 before: zeros; 1 after: zeros"]),
        ("Conv1d(1, 1, 3)", (5,), ["L: none", "every input element is read"]),
        ("LazyConv2d(8, 3)", (4, 9, 9), ["Conv2d(4, 8, 3): 1×4×9×9"]),
        ("ConvTranspose1d(1, 1, 3, stride=3)", (4,), ["1/3"]),
    ],
)
def test_what_is_said(text, size, words) -> None:
    shown = explain(text, size).text("en")
    for word in words:
        assert word in shown


def test_the_dict_is_json_and_says_what_the_layer_does() -> None:
    layer = nn.Conv2d(2, 4, (3, 5), (2, 1), (1, 3), padding_mode="reflect")
    made = explain(layer, (5, 2, 9, 8))
    facts = json.loads(made.json())
    assert facts == made.to_dict()
    import convforge as torch

    assert facts["output_shape"] == list(layer(torch.zeros(5, 2, 9, 8)).shape)
    assert facts["costs"]["parameters"] == sum(p.numel() for p in layer.parameters())
    for axis, (size, pad) in enumerate(((9, 1), (8, 3))):
        expected = padding_map("reflect", size, pad, pad)
        before, after = facts["axes"][axis]["padding_sources"]
        assert [*before, *range(size), *after] == list(expected)


@pytest.mark.parametrize("given", [(9, 8), (2, 9, 8), (1, 2, 9, 8)])
def test_sizes_and_shapes_are_the_same(given) -> None:
    assert explain("Conv2d(2, 4, 3)", given).to_dict() == explain("Conv2d(2, 4, 3)", (9, 8)).to_dict()


def test_output_size_chooses() -> None:
    made = explain("ConvTranspose2d(1, 1, 3, stride=2, padding=1)", (5, 5), output_size=(10, 9))
    assert made.spec.output_size == (10, 9)
    assert "+ 1 + 1 = 10" in str(made)


@pytest.mark.parametrize(
    ("layer", "size", "words"),
    [
        ("Conv2d(3, 8, 3)", (9,), "give the sizes"),
        ("Conv2d(3, 8, 3)", (4, 9, 9), "has 4 channels, but the layer takes in_channels"),
        ("Conv2d(3, 8, 3)", (2, 2), "Kernel size can't be greater"),
        ("LazyConv2d(8, 3)", (9, 9), "takes in_channels from its input"),
        ("Conf2d(8, 3)", (9, 9), "did you mean"),
        (nn.Linear(3, 4), (3,), "must be a convolution layer"),
    ],
)
def test_mistakes_in_one_line(layer, size, words) -> None:
    with pytest.raises((ValueError, RuntimeError, TypeError), match=words) as caught:
        explain(layer, size)
    assert "\n" not in str(caught.value)


def test_language_is_checked() -> None:
    with pytest.raises(ValueError, match="must be 'en' or 'zh'"):
        explain("Conv1d(1, 1, 3)", (9,), language="fr")


def test_html_is_escaped_and_takes_the_pages_colours() -> None:
    made = explain("Conv2d(1, 1, 3, padding=1, padding_mode='reflect')", (9, 9), language="en")
    shown = made._repr_html_()
    assert "padding_mode=&#x27;reflect&#x27;" in shown
    assert "padding_mode='" not in shown
    # No colour of its own but a grey that reads on white and on black.
    assert set(re.findall(r"#[0-9a-fA-F]{3,6}\b|rgba?\([^)]*\)", shown.split("</style>")[0])) == {
        "rgba(128, 128, 128, 0.35)",
        "rgba(128, 128, 128, 0.7)",
    }
    assert shown.count("<table") == shown.count("</table>") == 3


def test_markdown_has_tables_of_equal_columns() -> None:
    lines = explain("Conv2d(1, 1, 3)", (9, 9)).markdown("zh").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) > 12
    assert {line.count("|") for line in rows} <= {4, 6}
    assert lines[0].startswith("## Conv2d(1, 1, 3)")


def test_an_axis_of_a_million_is_explained_at_once() -> None:
    made = explain("Conv1d(1, 1, 3, stride=4)", (10**6,))
    assert made.axes[0].unread[0] == (3, 4)
    assert len(made.axes[0].unread) == 250_000
    assert np.sum(np.diff(np.array(made.axes[0].unread))) == 250_000
