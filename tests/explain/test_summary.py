"""The summary of a model: numbers that others publish, what is shown, and that it is one to one with JSON."""

from __future__ import annotations

import json

import pytest

import convforge as torch
from convforge import nn
from convforge.explain import summary
from convforge.explain.summary_rows import kernel_text
from convforge.explain.summary_words import COLUMNS
from convforge.explain.table import Table, fraction, percent, short, size_text, width
from support.nets import NETS


class Bottleneck(nn.Module):
    def __init__(self, i: int, m: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, m, 1, bias=False), nn.BatchNorm2d(m)
        self.conv2, self.bn2 = nn.Conv2d(m, m, 3, stride, 1, bias=False), nn.BatchNorm2d(m)
        self.conv3, self.bn3 = nn.Conv2d(m, 4 * m, 1, bias=False), nn.BatchNorm2d(4 * m)
        self.relu, self.down = nn.ReLU(inplace=True), None
        if stride > 1 or i != 4 * m:
            self.down = nn.Sequential(nn.Conv2d(i, 4 * m, 1, stride, bias=False), nn.BatchNorm2d(4 * m))

    def forward(self, x):
        y = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.down is None else self.down(x)))


def resnet50() -> nn.Module:
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    width = 64
    for stage, number in enumerate((3, 4, 6, 3)):
        middle = 64 * 2**stage
        blocks = [Bottleneck(width, middle, 2 if stage else 1)]
        blocks += [Bottleneck(4 * middle, middle, 1) for _ in range(number - 1)]
        layers.append(nn.Sequential(*blocks))
        width = 4 * middle
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 1000))


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    return resnet50()


def test_resnet50_has_the_published_numbers(resnet) -> None:
    """25,557,032 parameters and 4.09 G multiply-adds: torchvision's documentation of ResNet50_Weights."""
    made = summary(resnet, (1, 3, 224, 224))
    assert made.parameters == 25_557_032
    assert made.multiply_adds == 4_089_184_256
    assert made.real_multiply_adds < made.multiply_adds
    last = next(row for row in made.rows if row.path == "7")
    assert [(seen.field.size, seen.field.jump) for seen in last.seen if seen.field] == [(427, 32)] * 2
    eight = summary(resnet, (1, 3, 224, 224), batch=8)
    assert (eight.multiply_adds, eight.parameters) == (8 * made.multiply_adds, made.parameters)


def test_multiply_adds_beside_pytorch() -> None:
    """FlopCounterMode counts two for each product of plain layers; so half of it is ours."""
    theirs = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    def build(nn):
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=4),
            nn.MaxPool2d(2), nn.Conv2d(8, 4, (1, 3), dilation=2, padding=(0, 2)), nn.Flatten(),
            nn.Linear(144, 5),
        )  # fmt: skip

    made = summary(build(nn), (2, 3, 28, 28))
    model, shapes = build(theirs.nn), []
    for name, module in model.named_modules():
        module.register_forward_hook(lambda *call, name=name: shapes.append((name, tuple(call[2].shape))))
    with FlopCounterMode(display=False) as counter:
        model(theirs.zeros(2, 3, 28, 28))
    assert counter.get_total_flops() == 2 * made.multiply_adds
    assert sum(p.numel() for p in model.parameters()) == made.parameters
    ours = [(row.path, row.outputs[0]) for row in (*made.rows[1:], made.rows[0])]
    assert ours == shapes


TEXT = """\
Ghost: 2×3×16×16, float32

layer      type         kernel  output      parameters  multiply-adds  on real data    share  output bytes  receptive field  jump
─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
the model  Ghost                2×16×16×16         128         49,152        46,144  100.0 %        32 KiB                3     1
primary    Sequential           2×8×16×16           40         12,288        12,288   25.0 %        16 KiB                1     1
  0        Conv2d       1×1     2×8×16×16           24         12,288        12,288   25.0 %        16 KiB                1     1
  1        BatchNorm2d          2×8×16×16           16                                      16 KiB                1     1
"""  # noqa: E501


def test_the_text() -> None:
    shown = summary(NETS["Ghost"][0](), (2, 3, 16, 16), language="en").text()
    lines = [line for line in shown.splitlines() if line]
    assert lines[:6] == [line for line in TEXT.splitlines() if line][:6]
    assert "multiply-adds                            49,152, 46,144 of them on real data (93.9 %)" in shown
    assert "parameters                               128: 128 trained, 0 frozen" in shown


def test_chinese_columns_stand_below_each_other() -> None:
    made = summary(NETS["UNet"][0](), (1, 3, 24, 40), language="zh")
    lines = str(made).splitlines()
    rule = next(at for at, line in enumerate(lines) if line.startswith("─"))
    table = lines[rule - 1 : rule + 1 + len(made.rows)]
    assert {width(line) for line in table} == {width(lines[rule])}
    assert "整个模型" in table[2]


def test_depth_and_columns(resnet) -> None:
    model = resnet
    made = summary(model, (1, 3, 64, 64), depth=1, columns=("output", "jump"))
    assert [row.depth for row in made.rows] == [0] + [1] * 11
    assert made.to_dict()["layers"][5]["multiply_adds"] > 0
    assert str(made).splitlines()[2].split() == ["layer", "type", "output", "jump"]
    small = nn.Sequential(nn.Conv2d(3, 4, 3))
    assert len(summary(small, (1, 3, 8, 8), depth=0).rows) == 1
    for name in COLUMNS:
        assert COLUMNS[name]("en") in summary(small, (1, 3, 8, 8), columns=[name]).text("en")


@pytest.mark.parametrize("name", NETS)
def test_every_net_in_every_form(name) -> None:
    builder, shapes = NETS[name]
    made = summary(builder(), list(shapes), columns=tuple(COLUMNS))
    facts = made.to_dict()
    assert json.loads(made.json()) == facts
    assert facts["multiply_adds"] == facts["layers"][0]["multiply_adds"]
    for language in ("en", "zh"):
        assert made.text(language)
        assert made.markdown(language).count("\n|") >= len(made.rows)
        html = made.html(language)
        assert html.count("<tr>") == html.count("</tr>") >= len(made.rows)


def test_names_are_escaped() -> None:
    kind = type("<b>Bold</b>", (nn.Sequential,), {})
    model = kind()
    model.add_module("<i>|x|", nn.Conv2d(3, 4, 3))
    made = summary(model, (1, 3, 8, 8))
    assert "<b>Bold" not in made._repr_html_().replace("<p><b>&lt;", "")
    assert "&lt;b&gt;Bold&lt;/b&gt;" in made._repr_html_()
    assert "<i>" not in made._repr_html_()
    assert r"<i>\|x\|" in made.markdown()


def test_notes_say_what_is_partial() -> None:
    class Decides(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.spare = nn.Conv2d(3, 4, 3), nn.Linear(2, 2)

        def forward(self, x):
            y = self.conv(x)
            return y if y.sum() > 0 else -y

    made = summary(Decides(), (1, 3, 8, 8))
    assert "followed up to the model, and no further: bool reads values" in made.text("en")
    assert "从未被调用，其参数只计入合计：spare" in made.text("zh")
    assert made.to_dict()["stopped"]["path"] == ""
    assert made.to_dict()["unused"] == ["spare"]


def test_mistakes() -> None:
    with pytest.raises(RuntimeError, match="no such column: use kernel"):
        summary(nn.Identity(), (1, 3), columns=["flops"])
    with pytest.raises(RuntimeError, match="must not be negative"):
        summary(nn.Identity(), (1, 3), depth=-1)


def test_dtypes() -> None:
    made = summary(nn.Conv2d(3, 4, 3, dtype=torch.float16), (1, 3, 8, 8), dtype="float16")
    assert made.facts.root.output_bytes == 2 * 4 * 36
    with pytest.raises(RuntimeError, match="should be the same"):
        summary(nn.Conv2d(3, 4, 3), (1, 3, 8, 8), dtype="float16")


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (nn.Conv2d(8, 8, 3, 2, dilation=3, groups=4), "3×3 s2 d3 g4"),
        (nn.Conv1d(1, 1, 5), "5"),
        (nn.ConvTranspose3d(1, 1, (1, 2, 3), (1, 2, 2)), "1×2×3 s1×2×2"),
        (nn.MaxPool2d(2), "2×2 s2"),
        (nn.Linear(3, 4), ""),
    ],
)
def test_kernels(module, text) -> None:
    assert kernel_text(module) == text


def test_numbers() -> None:
    from fractions import Fraction

    assert [short(n) for n in (0, 441, 999, 1234, 86_704_128, 4.09e9, 2.5e15)] == [
        "0", "441", "999", "1.23 k", "86.7 M", "4.09 G", "2500 T",
    ]  # fmt: skip
    assert [size_text(n) for n in (0, 1000, 1024, 1010 << 10, 4 << 20, 3 << 50)] == [
        "0 B", "1000 B", "1 KiB", "1010 KiB", "4 MiB", "3072 TiB",
    ]  # fmt: skip
    assert [fraction(Fraction(*n)) for n in ((5, 2), (2, 3), (4, 1))] == ["2.5", "2/3", "4"]
    assert percent(0, 0) == "0.0 %"
    assert width("感受野 a") == 8
    assert Table(("", ""), (("一", "1"), ("ab", "22")), frozenset((1,))).text() == "一   1\nab  22"
