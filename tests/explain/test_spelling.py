"""Layers are read from text as PyTorch spells them, and nothing in the text is run."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from convforge.explain.spelling import LAYERS, LayerTextError, parse_layer


@pytest.mark.parametrize("prefix", ["", "nn.", "torch.nn.", "convforge.nn."])
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_and_prefix(prefix, name):
    layer = parse_layer(f"{prefix}{name}(3, 1, (3, 5), stride=2, padding='same', bias=False)")
    assert layer.name == name
    assert layer.arguments == (3, 1, (3, 5))
    assert layer.keywords == {"stride": 2, "padding": "same", "bias": False}
    assert layer.rank == int(name[-2])
    assert layer.is_lazy == name.startswith("Lazy")


def test_per_side_padding_and_negative_numbers_are_literals():
    layer = parse_layer("  Conv2d(3, 1, 3, padding=((1, 2), (0, -1)))\n")
    assert layer.keywords["padding"] == ((1, 2), (0, -1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a layer"),
        ("Conv2d", "not a call"),
        ("Conv2d(3, 1", "was never closed"),
        ("Conv2d(3, 1, 3) + 1", "not a call"),
        ("Conv2(3, 1, 3)", "did you mean Conv2d?"),
        ("Linear(3, 1)", "known are Conv1d"),
        ("os.system('x')", "not a convolution layer"),
        ("__import__('os').Conv2d(3, 1, 3)", "not a convolution layer"),
        ("tf.Conv2d(3, 1, 3)", "not a convolution layer"),
        ("(Conv2d)(3)(4)", "not a convolution layer"),
        ("Conv2d(3, x, 3)", "`x` at character 11"),
        ("Conv2d(3, 1, 2**9)", "`2**9` at character 14"),
        ("Conv2d(3, 1, [].append(1))", "not a plain value"),
        ("Conv2d(*range(9))", "not a plain value"),
        ("Conv2d(3, 1, **{})", "write name=value"),
        ("Conv2d(3, 1, 3, padding='a' 'b' + 'c')", "not a plain value"),
        ("Conv2d\uff083, 1, 3\uff09", "at character 7: invalid character"),
        (
            "Conv2d(3, 1, 3, padding_mode='零', stride=x)",
            "at character " + str(len("Conv2d(3, 1, 3, padding_mode='零', stride=x")),
        ),
        ("Conv2d(3, 1,\n x)", "not a plain value"),
        ("Conv2d(3, 1, 3)\0", "not"),
        ("Conv2d(" + "(" * 400, "not a layer"),
        ("Conv2d(3, 1, 3" + " " * 2000 + ")", "more than 1000"),
        ("Conv2d(" + "-" * 900 + "3)", ""),
        ("Conv2d(3, 1, " + "9" * 900 + "0)", None),
    ],
)
def test_refusals_point_at_the_place(text, words):
    if words is None:
        assert parse_layer(text).arguments[2] > 10**900
        return
    with pytest.raises(LayerTextError) as caught:
        parse_layer(text)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message


@given(st.text(max_size=60))
def test_no_text_raises_anything_else(text):
    for candidate in (text, f"Conv2d({text})", f"{text}(3, 1, 3)"):
        try:
            layer = parse_layer(candidate)
        except LayerTextError:
            continue
        assert layer.name in LAYERS
