"""Tuning: what is tried, what is stored and followed, and that threads, batch and layout change no bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convforge
from convforge import nn, plan, runtime
from convforge.plan import planner
from convforge.plan.describe import _request
from convforge.plan.direct import gather as direct
from convforge.plan.pairs import gather as pairs
from convforge.plan.planner import Choice
from convforge.plan.search import tuned, tuner
from convforge.plan.split_bf16 import products as split_bf16
from convforge.problem import ConvSpec, normalize_conv
from convforge.target import Target
from support.families import costing
from support.targets import masked

SHAPES: dict[str, dict[str, Any]] = {
    "dense": {"shape": (2, 70, 28, 28), "weight": (64, 70, 5, 5), "padding": 2, "stride": 2},
    "in place": {"shape": (2, 300, 28, 28), "weight": (40, 300, 1, 1)},
    "groups": {"shape": (2, 12, 9, 40), "weight": (8, 3, 3, 3), "groups": 4, "stride": 2},
    "transposed": {"shape": (2, 20, 9, 9), "weight": (20, 24, 4, 4), "stride": 2, "transposed": True},
    "signal": {"shape": (2, 6, 3000), "weight": (5, 6, 9), "padding": 4, "dilation": 2},
    "volume": {"shape": (1, 9, 4, 14, 14), "weight": (20, 9, 3, 3, 3), "padding": 1},
}


@pytest.fixture(autouse=True)
def own_notes(tmp_path: Path) -> Iterator[Path]:
    """Notes of this test alone; kernels stay where they are."""
    threads = runtime.get_num_threads()
    runtime.set_num_threads(2)
    runtime.notes.move(tmp_path)
    yield tmp_path / "notes"
    runtime.set_num_threads(threads)
    runtime.notes.move(runtime.loader.disk.folder)
    plan.clear_plans()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Choice], float]], None]:
    """Replace the clock: a sample takes what the function given says of its choice."""

    def use(seconds: Callable[[Choice], float]) -> None:
        def sampler(self: Any, repeats: int) -> Callable[[], float]:
            return lambda: seconds(self.choice)

        monkeypatch.setattr(tuner._Run, "sampler", sampler)

    return use


def spec_of(name: str, batch: int | None = None) -> ConvSpec:
    given = dict(SHAPES[name])
    shape, weight = given.pop("shape"), given.pop("weight")
    shape = (batch or shape[0], *shape[1:])
    spec, _ = normalize_conv(shape, weight, None, rank=len(shape) - 2, dtype=np.dtype(np.float32), **given)
    return spec


def arrays(spec: ConvSpec) -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    return tuple(
        generator.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.weight_shape)
    )


def offered(spec: ConvSpec) -> list[Choice]:
    return planner.choices(_request(spec, False, None), Target.host(), runtime.get_num_threads())


@pytest.mark.parametrize("mask", ["host", "avx2", "sse2"])
@pytest.mark.parametrize("name", SHAPES)
def test_every_candidate_computes_the_same(name: str, mask: str) -> None:
    """Bit for bit where it adds up in the same order, and the first one is what is taken without a clock."""
    spec = spec_of(name)
    x, weight = arrays(spec)
    with masked(mask) as target:
        request = _request(spec, False, None)
        found = planner.choices(request, target, 2)
        assert len(found) >= 3
        assert len(set(map(str, found))) == len(found)
        expected = plan.output(spec, x, weight)
        for choice in found:
            made = choice.plan(request, target, 2)
            y = np.full(spec.output_shape, np.nan, np.float32)
            packed = made.weights.pack(weight, 2)
            made(runtime.address_of(x), runtime.address_of(packed), 0, runtime.address_of(y))
            if choice.order == found[0].order:
                np.testing.assert_array_equal(y, expected)
            else:
                np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-3)
        own = found[0].plan(request, target, 2)
        assert own.describe() == planner.plan_output(request, target, 2).describe()


@pytest.mark.parametrize("name", SHAPES)
def test_candidates_of_one_order_have_the_same_bits_at_medium(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of families on pairs of channels, whose chains may be as long as those of single ones."""
    monkeypatch.setattr(pairs, "why_no_instruction", lambda target: None)
    spec = spec_of(name)
    x, weight = arrays(spec)
    request = _request(spec, False, "medium")
    by_order: dict[Any, Any] = {}
    for choice in planner.choices(request, Target.host(), 2):
        made = choice.plan(request, Target.host(), 2)
        y = np.full(spec.output_shape, np.nan, np.float32)
        packed = made.weights.pack(weight, 2)
        made(runtime.address_of(x), runtime.address_of(packed), 0, runtime.address_of(y))
        np.testing.assert_array_equal(y, by_order.setdefault(choice.order, y))
    assert any(order[0] == "blocks" and order[-1] == pairs.WAYS for order in by_order)


def test_what_is_measured_to_be_fastest_is_stored_and_followed(own_notes: Path, clock: Any) -> None:
    spec = spec_of("dense")
    x, weight = arrays(spec)
    untuned = plan.output(spec, x, weight)
    same = [choice for choice in offered(spec) if choice.order == offered(spec)[0].order]
    clock(lambda choice: 0.5 if choice == same[-1] else 1.0)
    with convforge.tuning() as log:
        np.testing.assert_array_equal(plan.output(spec, x, weight), untuned)
        plan.output(spec, x, weight)
    (entry,) = log.entries
    assert (entry.spec, entry.threads, entry.tried) == (spec, 2, len(same))
    assert entry.gain == 2.0
    assert len(list(own_notes.iterdir())) == 1

    runtime.notes.move(own_notes.parent)  # as another process finds it
    plan.clear_plans()
    found = planner.tuned_choice(_request(spec, False, None), Target.host(), 2)
    assert found == same[-1]
    with convforge.tuning() as log:
        np.testing.assert_array_equal(plan.output(spec, x, weight), untuned)
    assert log.entries == []
    assert "nothing to measure" in str(log)


def test_it_holds_for_this_number_of_threads_these_strides_and_this_version(
    clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of("dense")
    clock(lambda choice: 0.5 if choice == offered(spec)[1] else 1.0)
    request, target = _request(spec, False, None), Target.host()
    with convforge.tuning():
        plan.output(spec, *arrays(spec))
    assert planner.tuned_choice(request, target, 2) is not None
    assert planner.tuned_choice(request, target, 3) is None
    narrower = target.without("avx512f" if "avx512f" in target.features else "avx")
    assert planner.tuned_choice(request, narrower, 2) is None
    assert planner.tuned_choice(_request(spec, True, None), target, 2) is None
    monkeypatch.setattr(runtime, "generator_version", lambda *more: "another")
    assert planner.tuned_choice(request, target, 2) is None


def test_tuning_corrects_a_wrong_cost_model(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of("dense")
    # Of those that give the same bits.
    monkeypatch.setattr(split_bf16, "cost_cycles", lambda request, target: math.inf)
    first = offered(spec)[0].family.NAME
    other = {"direct": "channels", "channels": "direct"}[first]
    family = next(f for f in planner.FAMILIES if other == f.NAME)
    monkeypatch.setattr(family, "cost_cycles", lambda request, target: 0.0)
    assert other == offered(spec)[0].family.NAME
    clock(lambda choice: 1.0 if first == choice.family.NAME else 2.0)
    with convforge.tuning() as log:
        plan.output(spec, *arrays(spec))
    assert log.entries[0].best.startswith(first)
    found = planner.tuned_choice(_request(spec, False, None), Target.host(), 2)
    assert found is not None
    assert first == found.family.NAME


@pytest.mark.parametrize("damage", [b"", b"{}", b"x" * 300])
def test_a_broken_file_is_measured_again(own_notes: Path, clock: Any, damage: bytes) -> None:
    spec = spec_of("dense")
    clock(lambda choice: 1.0)
    with convforge.tuning():
        expected = plan.output(spec, *arrays(spec))
    (file,) = own_notes.iterdir()
    file.write_bytes(damage)
    runtime.notes.move(own_notes.parent)
    runtime.notes._warned = False
    plan.clear_plans()
    with pytest.warns(RuntimeWarning, match="cut, corrupted"):
        np.testing.assert_array_equal(plan.output(spec, *arrays(spec)), expected)
    with convforge.tuning() as log:
        plan.output(spec, *arrays(spec))
    assert len(log.entries) == 1


def test_a_choice_that_is_no_candidate_is_ignored() -> None:
    spec = spec_of("dense")
    request, target = _request(spec, False, None), Target.host()
    for stored in ("direct GatherSchedule(mr=99)", "nonsense"):
        tuned.write_choice(request, target, 2, stored)
        assert planner.tuned_choice(request, target, 2) == offered(spec)[0]
    runtime.notes.write(tuned._choice_key(request, target, 2), {"not": "text"})
    assert planner.tuned_choice(request, target, 2) is None


def test_another_order_is_tried_only_if_asked_for(clock: Any) -> None:
    spec = spec_of("dense")
    orders = {choice.order for choice in offered(spec)}
    assert len(orders) > 1
    tried: list[Choice] = []
    clock(lambda choice: tried.append(choice) or 1.0)
    with convforge.tuning():
        plan.output(spec, *arrays(spec))
    assert {choice.order for choice in tried} == {offered(spec)[0].order}
    tried.clear()
    with convforge.tuning(same_bits=False):
        plan.output(spec, *arrays(spec))
    assert {choice.order for choice in tried} == orders


@pytest.mark.parametrize("name", SHAPES)
def test_another_order_holds_for_all_threads_batches_and_layouts(name: str, clock: Any) -> None:
    spec = spec_of(name)
    x, weight = arrays(spec)
    own = offered(spec)[0].order
    clock(lambda choice: 1.0 if choice.order == own else 0.5)
    with convforge.tuning(same_bits=False):
        y = plan.output(spec, x, weight)
    backwards = np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    for threads in (1, 2, 3, 7):
        runtime.set_num_threads(threads)
        np.testing.assert_array_equal(plan.output(spec, x, weight), y)
        np.testing.assert_array_equal(plan.output(spec, backwards, weight), y)
        one = spec_of(name, batch=1)
        np.testing.assert_array_equal(plan.output(one, x[:1], weight), y[:1])
    # And whoever tunes another batch later stays with it.
    clock(lambda choice: 0.5 if choice.order == own else 1.0)
    with convforge.tuning(same_bits=False):
        np.testing.assert_array_equal(plan.output(one, x[:1], weight), y[:1])


def test_layers_that_have_their_plan_follow_and_forget(clock: Any) -> None:
    layer, x = nn.Conv2d(8, 24, 3), convforge.rand(1, 8, 20, 20)
    with convforge.no_grad():
        before = layer(x)
        clock(lambda choice: 0.5 if choice.schedule is not None and choice != default else 1.0)
        default = planner.choices(_request(layer_spec(layer, x), True, None), Target.host(), 2)[0]
        with convforge.tuning() as log:
            layer(x)
        assert len(log.entries) == 1
        assert layer.explain_plan(x).why.startswith("measured")
        assert convforge.equal(layer(x), before)
        runtime.notes.clear()
        assert "nothing was measured" in layer.explain_plan(x).why
        assert convforge.equal(layer(x), before)


def layer_spec(layer: Any, x: Any) -> ConvSpec:
    return layer.explain_plan(x).spec


def test_a_model_is_tuned_by_one_call_and_left_as_it_was(clock: Any) -> None:
    clock(lambda choice: 1.0)
    model = nn.Sequential(nn.Conv2d(3, 24, 3), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 20, 3))
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    log = convforge.tune(model, convforge.rand(1, 3, 18, 18))
    assert [entry.spec.out_channels for entry in log.entries] == [24, 20]
    assert [each.training for each in model] == [True, False, True, True]
    assert model.training
    for name, value in model.state_dict().items():
        assert convforge.equal(value, before[name])
    assert len(str(log).splitlines()) == 3
    with pytest.raises(TypeError, match="must be a module or a function"):
        convforge.tune(3)


def test_a_failing_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    with pytest.raises(RuntimeError):
        convforge.tune(model, convforge.rand(1, 5, 8, 8))
    assert model.training
    assert model[0].training
    assert tuner._session.get() is None


def test_weights_that_are_not_finite_are_no_reason_to_stop(clock: Any) -> None:
    clock(lambda choice: 1.0)
    spec = spec_of("dense")
    x, weight = arrays(spec)
    weight[0, 0, 0, 0] = np.inf
    with convforge.tuning() as log:
        plan.output(spec, x, weight)
    assert len(log.entries) == 1


def test_a_candidate_that_computes_something_else_is_an_error(
    clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock(lambda choice: 1.0)
    real = direct.DirectPlan.__call__
    spec = spec_of("in place")

    def wrong(self: Any, x: int, weights: int, bias: int, y: int) -> None:
        real(self, x, weights, bias, y if self.schedule == default else x)

    with costing(split_bf16, float("inf")):
        default = offered(spec)[0].schedule
        monkeypatch.setattr(direct.DirectPlan, "__call__", wrong)
        with convforge.tuning(), pytest.raises(AssertionError, match="other bits"):
            plan.output(spec, *arrays(spec))


def test_with_the_real_clock(own_notes: Path) -> None:
    spec = spec_of("dense")
    x, weight = arrays(spec)
    expected = plan.output(spec, x, weight)
    with convforge.tuning() as log:
        np.testing.assert_array_equal(plan.output(spec, x, weight), expected)
    (entry,) = log.entries
    assert entry.default_s > 0
    assert entry.best_s > 0
    assert entry.gain >= 1
