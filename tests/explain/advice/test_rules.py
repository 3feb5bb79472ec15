"""Each rule fires on what breaks it, is silent on what keeps it, and silent on its own fix."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest

from convforge import nn
from convforge.explain.advice import RULES, Finding, advise, principles
from convforge.explain.layers import as_layer
from convforge.explain.measure import module_of
from convforge.problem import ConvLayer, normalize_layer
from support.planted_advice import PLANTED


def found_by(rule: str, what: Any, size: Any, *, small_device: bool = False) -> list[Finding]:
    return [each for each in advise(what, size, small_device=small_device).findings if each.rule == rule]


@pytest.mark.parametrize("planted", PLANTED, ids=lambda each: each.rule)
def test_it_fires_on_what_breaks_it_and_only_there(planted: Any) -> None:
    bad = found_by(planted.rule, planted.bad(), planted.size, small_device=planted.small_device)
    assert len(bad) == 1
    (finding,) = bad
    assert not found_by(planted.rule, planted.good(), planted.size, small_device=planted.small_device)
    assert finding.evidence
    assert len(finding.where) == len(finding.layers)


def test_the_same_layer_is_good_on_a_size_that_it_divides() -> None:
    assert not advise("Conv2d(3, 8, 2, stride=2)", (14, 14)).findings


@pytest.mark.parametrize("planted", PLANTED, ids=lambda each: each.rule)
def test_its_fix_is_silent(planted: Any) -> None:
    (finding,) = found_by(planted.rule, planted.bad(), planted.size, small_device=planted.small_device)
    assert finding.fix is not None
    what, size = planted.bad(), planted.size
    if finding.fix.input_size:
        size = finding.fix.input_size
    elif isinstance(what, list):
        # In the place of the layers that it is for; a wider one is read by the next.
        at = int(finding.where[0])
        what = [*what[:at], *finding.fix.layers, *what[at + len(finding.where) :]]
    elif planted.rule == "fuse-norm":
        what = nn.Sequential(module_of(finding.fix.layers[0]), nn.ReLU()).eval()
    elif planted.rule == "bias-before-norm":
        what = nn.Sequential(module_of(finding.fix.layers[0]), nn.BatchNorm2d(8))
    else:
        what = list(finding.fix.layers)
    assert not found_by(planted.rule, what, size, small_device=planted.small_device)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda each: each.rule)
def test_it_is_said_in_both_languages_with_its_numbers(planted: Any) -> None:
    advice = advise(planted.bad(), planted.size, small_device=planted.small_device)
    (finding,) = (each for each in advice.findings if each.rule == planted.rule)
    english, chinese = finding.what("en"), finding.what("zh")
    assert re.search(r"[\u4e00-\u9fff]", chinese)
    assert not re.search(r"[\u4e00-\u9fff]", english)
    numbers = re.compile(r"\d[\d,.]*\d|\d")
    assert sorted(numbers.findall(english)) == sorted(numbers.findall(chinese))
    assert finding.fix is not None
    assert sorted(numbers.findall(finding.fix.effect("en"))) == sorted(
        numbers.findall(finding.fix.effect("zh"))
    )
    for language in ("en", "zh"):
        principle = RULES[planted.rule].principle(language)
        for shown in (advice.text(language), advice.markdown(language)):
            assert f"[{planted.rule}]" in shown
            assert principle in shown
            assert all(text in shown for text in finding.layers)
            assert all(text in shown for text in finding.fix.texts)
        assert planted.rule in advice.html(language)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda each: each.rule)
def test_json_holds_all_of_it(planted: Any) -> None:
    advice = advise(planted.bad(), planted.size, small_device=planted.small_device)
    read = json.loads(advice.json())
    for each, finding in zip(read["findings"], advice.findings, strict=True):
        assert each["rule"] == finding.rule
        assert set(each["what"]) == {"en", "zh"}
        assert each["drawing"]["name"] == finding.drawing.name
        assert each["evidence"].keys() == finding.evidence.keys()
        if finding.fix and finding.fix.layers:
            assert [layer["text"] for layer in each["fix"]["layers"]] == list(finding.fix.texts)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda each: each.rule)
def test_a_fix_is_a_layer_that_can_be_built_and_a_drawing_names_layers_that_can_be_read(planted: Any) -> None:
    for finding in advise(planted.bad(), planted.size, small_device=planted.small_device).findings:
        assert [as_layer(text) for text in finding.drawing.layers]
        if finding.fix:
            assert tuple(as_layer(text) for text in finding.fix.texts) == finding.fix.layers


def test_every_rule_is_planted_but_the_one_that_the_clock_decides() -> None:
    assert {each.rule for each in PLANTED} | {"slow-depthwise"} == set(RULES)


def test_good_layers_have_no_findings() -> None:
    for layer, size in (
        ("Conv2d(3, 64, 3, padding=1)", (3, 224, 224)),
        ("Conv2d(64, 64, 3, padding=1)", 56),
        ("Conv2d(64, 128, 3, stride=2, padding=1)", 56),
        ("Conv2d(3, 64, 7, stride=2, padding=3)", 224),
        ("Conv2d(64, 128, 1)", 14),
        ("ConvTranspose2d(64, 32, 4, stride=2, padding=1)", 14),
        ("Conv2d(256, 256, 3, padding=2, dilation=2)", 28),
        ("Conv2d(512, 4096, 7)", 7),
        ("Conv1d(1, 16, 9, padding=4)", 16000),
    ):
        assert not advise(layer, size).findings, layer


def test_the_principles_are_the_notes_and_in_both_languages() -> None:
    english, chinese = principles("en"), principles("zh")
    assert [each.rule for each in english] == [each.rule for each in chinese] == list(RULES)
    assert all(a.text != b.text for a, b in zip(english, chinese, strict=True))
    said = " ".join(each.text for each in english)
    for word in (
        "64, 128, 256, 512",
        "two 3×3",
        "7×7",
        "stride 1",
        "⌊kernel / 2⌋",
        "segmentation",
        "bias=False",
    ):
        assert word in said


def test_the_gravest_come_first() -> None:
    advice = advise("Conv2d(3, 8, 3, stride=2), Conv2d(9, 8, 5)", (4, 20, 20))
    order = ["error", "warning", "advice", "info"]
    grades = [order.index(each.severity) for each in advice.findings]
    assert grades == sorted(grades)
    assert grades[0] == 0


@pytest.mark.parametrize(
    ("what", "size", "says"),
    [
        ("Conv2d(3, 8, 3", 9, "not a layer"),
        ("Linear(3, 8)", 9, "not a convolution layer"),
        ("Conv2d(3, 8, 30)", 9, "Kernel size"),
        ("Conv2d(3, 8, 3)", (1, 2, 3, 4), "input_size"),
        (nn.ReLU(), 9, "ReLU"),
        (nn.Sequential(nn.ReLU()), 9, "no convolution layers"),
        ([], 9, "no layers"),
    ],
)
def test_mistakes_are_named(what: Any, size: Any, says: str) -> None:
    with pytest.raises((ValueError, TypeError, RuntimeError), match=says) as caught:
        advise(what, size)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"batch \(=0\)"):
        advise("Conv2d(3, 8, 3)", 9, batch=0)


def drawn_layers(number: int) -> list[tuple[ConvLayer, tuple[int, ...]]]:
    """Layers of every kind with sizes that they can be called on, odd combinations included."""
    draw = random.Random(7)
    found: list[tuple[ConvLayer, tuple[int, ...]]] = []

    def some(rank: int, low: int, high: int) -> tuple[int, ...]:
        return tuple(draw.randint(low, high) for _ in range(rank))

    while len(found) < number:
        rank, transposed, groups = draw.choice((1, 2, 2, 3)), draw.random() < 0.3, draw.choice((1, 1, 2))
        padding: Any = some(rank, 0, 6)
        if not transposed and draw.random() < 0.4:
            padding = draw.choice(("same", "valid"))
        try:
            layer = normalize_layer(
                groups * draw.choice((1, 8)),
                groups * draw.choice((1, 8)),
                some(rank, 1, draw.choice((3, 11))),
                some(rank, 1, draw.choice((1, 5))),
                padding,
                some(rank, 1, draw.choice((1, 13))),
                groups,
                padding_mode=draw.choice(("zeros", "zeros", "reflect", "circular")),
                rank=rank,
                transposed=transposed,
            )
            size = some(rank, 1, draw.choice((8, 40)))
            layer.spec(size)
        except (ValueError, RuntimeError):
            continue
        found.append((layer, size))
    return found


def test_whatever_can_be_called_can_be_advised_on_and_fixes_can_be_called() -> None:
    for layer, size in drawn_layers(300):
        advice = advise(layer, size, small_device=True)
        assert advice.text("zh")
        for found in advice.findings:
            if found.fix and found.fix.layers:
                again = advise(list(found.fix.layers), size, small_device=True)
                assert found.rule not in [each.rule for each in again.findings], (layer.text, size)
