"""Advice on models: layers are found by following the forward, and nothing in the model changes."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from convforge import nn
from convforge.autograd import Tensor
from convforge.explain.advice import advise
from convforge.explain.advice.flow import sites_of
from convforge.explain.tracing import trace_model
from convforge.nn import functional as F


class Block(nn.Module):
    """A residual block: its sum reads the input of conv1 too."""

    def __init__(self, channels: int, *, bias: bool = False, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=bias)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=bias)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Any) -> Any:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(x + self.bn2(self.conv2(y)))


class Net(nn.Module):
    """A stem, two blocks, and a shared head that is called twice."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(Block(16, **options), Block(16))
        self.head = nn.Conv2d(16, 16, 3, padding=1)

    def forward(self, x: Any) -> Any:
        return self.head(self.head(self.blocks(self.stem(x))))


def chains(model: nn.Module) -> list[list[str]]:
    facts = trace_model(model, (1, 3, 20, 20))
    return [[site.path for site in chain] for chain in sites_of(model, facts.steps)[1]]


def test_runs_end_where_anyone_else_reads() -> None:
    assert chains(Net()) == [
        ["stem.0"],
        ["blocks.0.conv1", "blocks.0.conv2"],
        ["blocks.1.conv1", "blocks.1.conv2"],
        ["head", "head"],
    ]


def test_norms_are_found_through_the_forward() -> None:
    rules = {(each.rule, each.where) for each in advise(Net(bias=True), (20, 20)).findings}
    assert ("bias-before-norm", ("blocks.0.conv1",)) in rules
    assert ("bias-before-norm", ("blocks.0.conv2",)) in rules
    assert not any(rule == "bias-before-norm" and where[0].startswith("blocks.1") for rule, where in rules)


def test_a_norm_that_is_not_alone_in_reading_is_left_alone() -> None:
    class Read(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.bn = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)

        def forward(self, x: Any) -> Any:
            y = self.conv(x)
            return self.bn(y) + y

    assert not advise(Read(), (12, 12)).findings


def test_other_norms_are_not_batch_norms() -> None:
    norm = nn.InstanceNorm2d(8, track_running_stats=True)
    assert not advise(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), norm).eval(), (12, 12)).findings


def test_gridding_is_seen_through_norms_and_activations_in_place() -> None:
    (found,) = (each for each in advise(Net(dilation=2), (40, 40)).findings if each.rule == "gridding")
    assert found.where == ("blocks.0.conv1", "blocks.0.conv2")


def test_a_good_model_has_no_findings() -> None:
    assert not advise(Net(), (3, 64, 64)).findings


def test_a_shared_layer_is_spoken_of_once() -> None:
    model = Net()
    model.head = nn.Conv2d(16, 16, 5, padding=2)
    found = [each for each in advise(model, (40, 40)).findings if each.rule == "two-3x3"]
    assert [each.where for each in found] == [("head",)]


def test_nothing_in_the_model_changes() -> None:
    model = Net(bias=True)
    before = {name: np.asarray(value).copy() for name, value in model.state_dict().items()}
    keys = {name: sorted(vars(module)) for name, module in model.named_modules()}
    advise(model, (3, 20, 20))
    assert {name: sorted(vars(module)) for name, module in model.named_modules()} == keys
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(np.asarray(value), before[name])


def test_sizes_are_those_of_real_calls() -> None:
    model = Net()
    shapes: list[tuple[int, ...]] = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _m, args, out: shapes.append((*args[0].shape, *out.shape)))
    model(Tensor(np.zeros((1, 3, 20, 20), np.float32)))
    sites, _ = sites_of(model, trace_model(model, (1, 3, 20, 20)).steps)
    assert [(*site.spec.input_shape, *site.spec.output_shape) for site in sites] == shapes


def test_lazy_layers_take_their_channels_from_the_data() -> None:
    advice = advise(nn.Sequential(nn.LazyConv2d(8, 3, padding=1), nn.ReLU()), (5, 20, 20))
    assert advice.layers == 1
    assert not advice.findings


def test_a_model_that_reads_values_is_advised_on_up_to_there() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3)

        def forward(self, x: Any) -> Any:
            y = self.first(x)
            return self.second(y) if float(y.sum()) > 0 else y

    advice = advise(Reads(), (20, 20))
    assert advice.layers == 1
    assert advice.stopped is not None
    assert "in part" in advice.text("en")
    assert "一部分" in advice.text("zh")


def test_without_measuring_no_time_is_said() -> None:
    advice = advise("Conv2d(8, 8, 5, padding=2)", (12, 12))
    assert advice.findings[0].timing is None
    assert "not measured" in advice.text("en")
    assert advise("Conv2d(8, 8, 3, padding=1, groups=8)", (12, 12)).unmeasured == ("slow-depthwise",)


def test_both_ways_are_measured_by_real_calls() -> None:
    model = nn.Sequential(nn.Conv2d(8, 8, 5, padding=2, bias=False), nn.BatchNorm2d(8)).eval()
    findings = {each.rule: each for each in advise(model, (12, 12), measure=True).findings}
    for rule in ("two-3x3", "fuse-norm"):
        timing = findings[rule].timing
        assert timing is not None
        assert timing.before_ms > 0
        assert timing.after_ms > 0
        assert timing.threads >= 1


@pytest.mark.parametrize(("depthwise_ms", "found"), [(3.0, True), (1.0, False), (1.02, False)])
def test_the_clock_decides_on_depthwise(
    monkeypatch: pytest.MonkeyPatch, depthwise_ms: float, found: bool
) -> None:
    subject = sys.modules["convforge.explain.advice.subject"]
    monkeypatch.setattr(subject, "milliseconds", lambda calls: (depthwise_ms, 1.0))
    advice = advise("Conv2d(8, 8, 3, padding=1, groups=8)", (12, 12), measure=True)
    rules = [each.rule for each in advice.findings]
    assert rules == (["slow-depthwise"] if found else [])
    if found:
        assert advice.findings[0].evidence["share_of_multiply_adds"] == 1 / 8
        assert advice.findings[0].fix is not None
        assert advice.findings[0].fix.texts == ("Conv2d(8, 8, 3, padding=1)",)
        assert "3.00" in advice.text("en")


def test_a_fix_that_costs_time_is_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = sys.modules["convforge.explain.advice.subject"]
    monkeypatch.setattr(subject, "milliseconds", lambda calls: (1.0, 1.5))
    advice = advise("Conv2d(8, 8, 5, padding=2)", (12, 12), measure=True)
    assert "costs time" in advice.text("en")
    assert "更慢" in advice.text("zh")
