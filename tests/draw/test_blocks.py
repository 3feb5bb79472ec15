"""What is written on the edges of blocks is what the real modules have."""

from __future__ import annotations

import re

import pytest

from convforge import nn
from convforge.draw import drawing_for
from convforge.draw.blocks import BLOCKS, bottleneck, ghost, separable, sequential, two_for_five
from convforge.draw.instead import blocks
from convforge.errors import ConvValueError
from convforge.explain import advise
from support.drawn import check_layout, check_style, read

torch = pytest.importorskip("torch")
t = torch.nn
HAN = re.compile(r"[\u4e00-\u9fff]")


def counted(module, shape) -> tuple[int, int]:
    """Parameters, and products of convolutions and linear layers counted as they are called."""
    products = 0

    def count(layer, inputs, output):
        nonlocal products
        products += layer.weight[0].numel() * output.numel()

    for part in module.modules():
        if isinstance(part, t.Conv2d | t.Linear):
            part.register_forward_hook(count)
    module(torch.zeros(1, *shape))
    return sum(p.numel() for p in module.parameters()), products


class GhostModule(t.Module):
    """The notes' module."""

    def __init__(self, in_channels, out_channels, s=2, kernel_size=1):
        super().__init__()
        own = out_channels // s
        self.primary = t.Sequential(
            t.Conv2d(in_channels, own, kernel_size, padding=kernel_size // 2, bias=False),
            t.BatchNorm2d(own),
            t.ReLU(),
        )
        more = own * (s - 1)
        self.cheap = t.Sequential(
            t.Conv2d(own, more, 3, padding=1, groups=own, bias=False), t.BatchNorm2d(more), t.ReLU6()
        )

    def forward(self, x):
        y = self.primary(x)
        return torch.cat([y, self.cheap(y)], 1)


def conv(i, o, k, groups=1):
    return t.Conv2d(i, o, k, padding=k // 2, groups=groups, bias=False)


CASES = {
    "ghost": (
        lambda **o: ghost(6, 12, 3, 3, input_size=(5, 7), **o), GhostModule(6, 12, 3, 3), conv(6, 12, 3),
        (6, 5, 7),
    ),
    "separable": (
        lambda **o: separable(6, 10, 3, input_size=9, **o), t.Sequential(conv(6, 6, 3, 6), conv(6, 10, 1)),
        conv(6, 10, 3), (6, 9, 9),
    ),
    "two-for-five": (
        lambda **o: two_for_five(8, input_size=6, **o), t.Sequential(conv(8, 8, 3), conv(8, 8, 3)),
        conv(8, 8, 5), (8, 6, 6),
    ),
    "bottleneck": (
        lambda **o: bottleneck(16, 4, input_size=6, **o),
        t.Sequential(conv(16, 4, 1), conv(4, 4, 3), conv(4, 16, 1)),
        t.Sequential(conv(16, 16, 3), conv(16, 16, 3)), (16, 6, 6),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_totals_and_their_ratio(name):
    make, module, other, shape = CASES[name]
    drawn = read(make(language="en"))
    check_layout(drawn)
    check_style(drawn)
    (own, products), (dense, dense_products) = counted(module, shape), counted(other, shape)
    totals = [text.text for text in drawn.texts if text.name == "total"]
    assert totals == [
        f"Total: {own:,} parameters · {products:,} multiply-adds",
        f"Total: {dense:,} parameters · {dense_products:,} multiply-adds",
    ]
    assert drawn.said("ratio").startswith(
        f"{own / dense:.3g} × the parameters, {products / dense_products:.3g} × the multiply-adds"
    )
    # The edges add up to the totals.
    words = " ".join(text.text for text in drawn.texts if text.name.startswith("edge"))
    edges = [int(word.replace(",", "")) for word in re.findall(r"([\d,]+) parameters", words)]
    assert sum(edges) == own + dense


@pytest.mark.parametrize("name", CASES)
def test_languages_and_themes(name):
    make = CASES[name][0]
    for theme in ("light", "dark", "auto"):
        chinese = make(language="zh", theme=theme)
        check_layout(read(chinese))
        assert HAN.search(chinese.svg)
        assert not HAN.search(re.sub(r'font-family="[^"]*"', "", make(language="en", theme=theme).svg))
    assert make(language="en").svg == make(language="en").svg


def test_any_sequential():
    ours = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 16, 5),
    )
    theirs = t.Sequential(
        t.Conv2d(3, 8, 3, 2, 1), t.BatchNorm2d(8), t.ReLU(), t.MaxPool2d(2), t.Flatten(), t.Linear(8 * 16, 5)
    )
    drawn = read(sequential(ours, (3, 16, 16), language="en"))
    check_layout(drawn)
    parameters, products = counted(theirs, (3, 16, 16))
    assert drawn.said("total") == f"Total: {parameters:,} parameters · {products:,} multiply-adds"
    shapes = [
        text.text
        for text in drawn.texts
        if text.name.startswith("edge") and re.fullmatch(r"[\d×]+", text.text)
    ]
    assert shapes == ["3×16×16", "8×8×8", "8×8×8", "8×8×8", "8×4×4", "128", "5"]
    assert drawn.said("node-1") == "Conv2d(3, 8, 3, stride=2, padding=1)"


def test_spellings_in_a_list():
    drawn = read(sequential(["Conv1d(2, 4, 3)", "Conv1d(4, 1, 3)"], (2, 10), language="en"))
    assert (
        drawn.said("total")
        == f"Total: {2 * 4 * 3 + 4 + 4 * 3 + 1} parameters · {24 * 8 + 12 * 6} multiply-adds"
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ghost(4, 5), "divide out_channels"),
        (lambda: ghost(4, 8, 1), "divide out_channels"),
        (lambda: two_for_five(8, input_size=0), "input_size"),
        (lambda: sequential([], (3, 8, 8)), "1 to 24 can be drawn"),
        (lambda: sequential(["Conv1d(1, 1, 1)"] * 25, (1, 8)), "25 of them"),
        (lambda: sequential(7, (3, 8, 8)), "must be a Sequential"),
        (lambda: sequential(["Conv2d(3, 8, 30)"], (3, 8, 8)), "Kernel size"),
    ],
)
def test_refusals(call, words):
    with pytest.raises((ValueError, TypeError, RuntimeError), match=words):
        call()


def test_every_block_is_known():
    assert set(BLOCKS) == {*CASES, "sequential"}


@pytest.mark.parametrize(
    ("layer", "size", "instead"),
    [
        (
            t.Conv2d(6, 8, 7, padding=3),
            (9, 11),
            [t.Conv2d(6, 8, 3, padding=1), t.Conv2d(8, 8, 3, padding=1), t.Conv2d(8, 8, 3, padding=1)],
        ),
        (t.Conv2d(6, 8, 5), (9, 11), [t.Conv2d(6, 6, 5, groups=6, bias=False), t.Conv2d(6, 8, 1)]),
        (
            t.Conv2d(6, 8, 3, stride=2, padding=1, bias=False),
            (8, 8),
            [t.Conv2d(6, 6, 3, stride=2, padding=1, groups=6, bias=False), t.Conv2d(6, 8, 1, bias=False)],
        ),
    ],
)
def test_what_could_stand_in_a_layers_place(layer, size, instead) -> None:
    bias = "" if layer.bias is not None else ", bias=False"
    text = (
        f"Conv2d({layer.in_channels}, {layer.out_channels}, {layer.kernel_size[0]}, stride={layer.stride}, "
        f"padding={layer.padding}{bias})"
    )
    for language in ("en", "zh"):
        drawn = read(blocks(text, size, language=language))
        check_layout(drawn)
        check_style(drawn)
        said = [each.text for each in drawn.texts]
        for module in (layer, t.Sequential(*instead)):
            parameters, products = counted(module, (6, *size))
            assert any(f"{parameters:,}" in line and f"{products:,}" in line for line in said), said


def test_advice_that_asks_for_blocks_is_drawn() -> None:
    asked = [
        finding.drawing
        for layer, size in (
            ("Conv2d(64, 64, 5, padding=2)", (56, 56)),
            ("Conv1d(64, 64, 9, padding=4)", (99,)),
        )
        for finding in advise(layer, size, small_device=True).findings
        if finding.drawing is not None and finding.drawing.name == "blocks"
    ]
    assert len(asked) >= 2
    for request in asked:
        check_layout(read(drawing_for(request, language="zh")))


@pytest.mark.parametrize("text", ["Conv2d(4, 4, 1)", "Conv2d(4, 4, 5, groups=4)", "ConvTranspose2d(4, 4, 3)"])
def test_a_layer_that_nothing_replaces_is_refused(text) -> None:
    with pytest.raises(ConvValueError, match="nothing to be replaced by"):
        blocks(text)
