"""Schedules: PyTorch's learning rates, epoch by epoch; and their formulas, without PyTorch."""

from __future__ import annotations

import copy
import math
import warnings
from typing import Any

import numpy as np
import pytest

from convforge import optim
from convforge.autograd.tensor import from_data
from convforge.optim import lr_scheduler

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="compares with PyTorch")


class Halving:
    """A callable with a state, for LambdaLR."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, epoch: int) -> float:
        self.calls += 1
        return 0.5**epoch


SCHEDULES = [
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [2, 5, 5, 9], "gamma": 0.3}),
    ("ConstantLR", {"factor": 0.25, "total_iters": 4}),
    ("LinearLR", {"start_factor": 0.2, "end_factor": 0.9, "total_iters": 7}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("PolynomialLR", {"total_iters": 7, "power": 2.0}),
    ("CosineAnnealingLR", {"T_max": 6, "eta_min": 0.01}),
    ("CosineAnnealingLR", {"T_max": 20}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (1 + epoch)}),
    ("LambdaLR", {"lr_lambda": [lambda epoch: 1 / (1 + epoch), lambda epoch: 0.8**epoch]}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 21}),
    ("OneCycleLR", {"max_lr": [0.5, 0.3], "epochs": 7, "steps_per_epoch": 3, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 25, "three_phase": True, "pct_start": 0.4}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 25, "cycle_momentum": False}),
]


def param() -> Any:
    return from_data(np.zeros(1, np.float32)).requires_grad_()


def ours(name: str = "SGD", **options: Any) -> Any:
    return getattr(optim, name)([{"params": [param()]}, {"params": [param()], "lr": 0.2}], lr=0.4, **options)


def theirs(name: str = "SGD", **options: Any) -> Any:
    groups = [{"params": [torch.zeros(1, requires_grad=True)]} for _ in range(2)]
    groups[1]["lr"] = 0.2
    return getattr(torch.optim, name)(groups, lr=0.4, **options)


def rates(optimizer: Any, schedule: Any, epochs: int) -> list[list[float]]:
    seen = [options(optimizer)]
    for _ in range(epochs):
        optimizer.step()
        schedule.step()
        assert schedule.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        seen.append(options(optimizer))
    return seen


def options(optimizer: Any) -> list[float]:
    momenta = [group.get("momentum") or group["betas"][0] for group in optimizer.param_groups]
    return [*(group["lr"] for group in optimizer.param_groups), *momenta]


@needs_torch
@pytest.mark.parametrize("optimizer", [("SGD", {"momentum": 0.9}), ("Adam", {})])
@pytest.mark.parametrize(("name", "arguments"), SCHEDULES)
def test_rates(name, arguments, optimizer):
    kind, more = optimizer
    mine, other = ours(kind, **more), theirs(kind, **more)
    schedule = getattr(lr_scheduler, name)(mine, **arguments)
    expected = getattr(torch.optim.lr_scheduler, name)(other, **arguments)
    got = rates(mine, schedule, 20)
    np.testing.assert_allclose(got, rates(other, expected, 20), rtol=1e-13)
    assert schedule.state_dict().keys() == expected.state_dict().keys()


@needs_torch
@pytest.mark.parametrize(("name", "arguments"), [each for each in SCHEDULES if each[0] != "OneCycleLR"])
def test_jumping_to_an_epoch(name, arguments):
    schedule = getattr(lr_scheduler, name)(ours(), **arguments)
    expected = getattr(torch.optim.lr_scheduler, name)(theirs(), **arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for epoch in (7, 3, 12):
            schedule.step(epoch)
            expected.step(epoch)
            np.testing.assert_allclose(schedule.get_last_lr(), expected.get_last_lr(), rtol=1e-13)


@pytest.mark.parametrize(("name", "arguments"), SCHEDULES)
def test_going_on_from_a_saved_state(name, arguments):
    straight = ours(momentum=0.9)
    whole = rates(straight, getattr(lr_scheduler, name)(straight, **arguments), 12)
    first = ours(momentum=0.9)
    schedule = getattr(lr_scheduler, name)(first, **arguments)
    rates(first, schedule, 6)
    second = ours(momentum=0.9)
    resumed = getattr(lr_scheduler, name)(second, **arguments)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    saved = schedule.state_dict()
    resumed.load_state_dict(saved)
    assert "lr_lambdas" not in arguments or "lr_lambdas" in saved
    np.testing.assert_allclose(rates(second, resumed, 6)[1:], whole[7:], rtol=1e-13)


def test_formulas():
    optimizer = ours(momentum=0.9)
    schedule = lr_scheduler.CosineAnnealingLR(optimizer, T_max=10, eta_min=0.1)
    expected = [0.1 + 0.3 * (1 + math.cos(math.pi * t / 10)) / 2 for t in range(11)]
    assert [each[0] for each in rates(optimizer, schedule, 10)] == pytest.approx(expected)
    optimizer = ours(momentum=0.9)
    schedule = lr_scheduler.StepLR(optimizer, 2, 0.5)
    assert [each[0] for each in rates(optimizer, schedule, 5)] == pytest.approx(
        [0.4, 0.4, 0.2, 0.2, 0.1, 0.1]
    )


def test_schedules_may_be_chained():
    optimizer = ours(momentum=0.9)
    first = lr_scheduler.ExponentialLR(optimizer, 0.9)
    second = lr_scheduler.StepLR(optimizer, 2, 0.5)
    for _ in range(4):
        optimizer.step()
        first.step()
        second.step()
    assert second.get_last_lr()[0] == pytest.approx(0.4 * 0.9**4 * 0.25)


def warm_up(library: Any, optimizer: Any) -> Any:
    parts = [
        library.LinearLR(optimizer, 0.1, total_iters=3),
        library.CosineAnnealingLR(optimizer, 5),
        library.StepLR(optimizer, 2),
    ]
    return library.SequentialLR(optimizer, parts, [4, 9])


@needs_torch
def test_one_after_another():
    mine, other = ours(momentum=0.9), theirs(momentum=0.9)
    schedule, expected = warm_up(lr_scheduler, mine), warm_up(torch.optim.lr_scheduler, other)
    np.testing.assert_allclose(rates(mine, schedule, 15), rates(other, expected, 15), rtol=1e-13)
    assert schedule.state_dict().keys() == expected.state_dict().keys()


def test_one_after_another_goes_on_from_a_saved_state():
    straight, first, second = (ours(momentum=0.9) for _ in range(3))
    whole = rates(straight, warm_up(lr_scheduler, straight), 12)
    schedule = warm_up(lr_scheduler, first)
    rates(first, schedule, 6)
    resumed = warm_up(lr_scheduler, second)
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(copy.deepcopy(schedule.state_dict()))
    np.testing.assert_allclose(rates(second, resumed, 6)[1:], whole[7:], rtol=1e-13)


def test_callables_keep_their_state():
    schedule = lr_scheduler.LambdaLR(ours(), Halving())
    saved = schedule.state_dict()
    assert saved["lr_lambdas"] == [{"calls": 2}, {"calls": 2}]
    other = lr_scheduler.LambdaLR(ours(), Halving())
    saved["lr_lambdas"][0]["calls"] = 50
    other.load_state_dict(saved)
    assert other.lr_lambdas[0].calls >= 2
    assert "lr_lambdas" in saved


@needs_torch
@pytest.mark.parametrize(
    "arguments",
    [
        {"patience": 1},
        {"mode": "max", "factor": 0.5, "patience": 0, "threshold": 0.2, "cooldown": 2},
        {"threshold_mode": "abs", "threshold": 0.5, "patience": 0, "min_lr": [0.1, 0.05]},
        {"mode": "max", "threshold_mode": "abs", "patience": 2, "eps": 0.1},
    ],
)
def test_plateau(arguments):
    measures = [5, 4, 4.2, 4.1, 3.9, 3.95, 3.99, 4, 4, 4, 4.1, 3, 3, 3, 3, 3]
    mine, other = ours(), theirs()
    schedule = lr_scheduler.ReduceLROnPlateau(mine, **arguments)
    expected = torch.optim.lr_scheduler.ReduceLROnPlateau(other, **arguments)
    for measure in measures:
        schedule.step(measure)
        expected.step(measure)
        assert schedule.get_last_lr() == pytest.approx(expected.get_last_lr(), rel=1e-13)
        assert schedule.num_bad_epochs == expected.num_bad_epochs
    saved = schedule.state_dict()
    assert saved.keys() == expected.state_dict().keys()
    again = lr_scheduler.ReduceLROnPlateau(mine)
    again.load_state_dict(saved)
    assert again.best == schedule.best


def test_plateau_takes_tensors_and_new_groups():
    optimizer = ours()
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5, min_lr=0.15)
    optimizer.add_param_group({"params": [param()], "lr": 1.0})
    for _ in range(3):
        schedule.step(from_data(np.array(1.0)))
    assert schedule.get_last_lr() == [0.15, 0.15, 0.25]
    strict = lr_scheduler.ReduceLROnPlateau(ours(), patience=0, min_lr=[0.0, 0.0])
    strict.optimizer.add_param_group({"params": [param()]})
    strict.step(1.0)
    with pytest.raises(RuntimeError, match="number of param groups"):
        strict.step(1.0)


def test_a_tensor_rate_is_filled():
    held = from_data(np.array(0.4))
    optimizer = optim.SGD([param()], lr=held)
    schedule = lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    schedule.step()
    assert optimizer.param_groups[0]["lr"] is held
    assert float(held._data) == 0.2


REFUSED = [
    (lambda s, o: s.StepLR(3, 1), TypeError, "int is not an Optimizer"),
    (
        lambda s, o: s.StepLR(o, 1, last_epoch=3),
        KeyError,
        "param 'initial_lr' is not specified in param_groups",
    ),
    (lambda s, o: s.LambdaLR(o, [abs]), ValueError, "Expected 2 lr_lambdas, but got 1"),
    (lambda s, o: s.ConstantLR(o, 2), ValueError, "Constant multiplicative factor expected"),
    (lambda s, o: s.LinearLR(o, 0), ValueError, "Starting multiplicative factor expected"),
    (lambda s, o: s.LinearLR(o, 1, 2), ValueError, "Ending multiplicative factor expected"),
    (lambda s, o: s.ReduceLROnPlateau(o, factor=1), ValueError, "Factor should be < 1.0."),
    (lambda s, o: s.ReduceLROnPlateau(o, "mid"), ValueError, "mode mid is unknown!"),
    (lambda s, o: s.ReduceLROnPlateau(o, threshold_mode="x"), ValueError, "threshold mode x is unknown!"),
    (lambda s, o: s.ReduceLROnPlateau(o, min_lr=[0]), ValueError, "expected 2 min_lrs, got 1"),
    (lambda s, o: s.SequentialLR(o, [], []), ValueError, "at least one scheduler"),
    (
        lambda s, o: s.SequentialLR(o, [s.StepLR(o, 1)], [1]),
        ValueError,
        "number of milestones to be equal to 1",
    ),
    (lambda s, o: s.SequentialLR(o, [s.ReduceLROnPlateau(o)], []), ValueError, "does not support"),
    (lambda s, o: s.SequentialLR(o, [3], []), TypeError, "should have `optimizer` as its attribute"),
    (lambda s, o: s.OneCycleLR(o, 1), ValueError, "You must define either total_steps OR"),
    (lambda s, o: s.OneCycleLR(o, 1, 0), ValueError, "Expected positive integer total_steps, but got 0"),
    (lambda s, o: s.OneCycleLR(o, 1, None, 0, 3), ValueError, "Expected positive integer epochs, but got 0"),
    (lambda s, o: s.OneCycleLR(o, 1, None, 3, 0), ValueError, "Expected positive integer steps_per_epoch"),
    (lambda s, o: s.OneCycleLR(o, 1, 9, pct_start=2.0), ValueError, "between 0 and 1 pct_start, but got 2.0"),
    (lambda s, o: s.OneCycleLR(o, 1, 9, anneal_strategy="x"), ValueError, "must be one of 'cos' or 'linear'"),
    (lambda s, o: s.OneCycleLR(o, [1], 9), ValueError, "max_lr must have the same length|expected 2 values"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_refused(call, error, words):
    with pytest.raises(error, match=words):
        call(lr_scheduler, ours())
    if torch is not None:
        with pytest.raises(error, match=words):
            call(torch.optim.lr_scheduler, theirs())


def test_a_step_too_many():
    optimizer = ours()
    schedule = lr_scheduler.OneCycleLR(optimizer, 1.0, 2)
    rates(optimizer, schedule, 2)
    with pytest.raises(ValueError, match=r"Tried to step 3 times\. The specified number of total steps is 2"):
        schedule.step()


def test_warnings():
    schedule = lr_scheduler.StepLR(ours(), 2)
    with pytest.warns(UserWarning, match=r"before `optimizer\.step"):
        schedule.step()
    with pytest.warns(UserWarning, match="use `get_last_lr"):
        schedule.get_lr()
    with pytest.warns(UserWarning, match="epoch parameter"):
        schedule.step(4)
    optimizer = ours()
    schedule = lr_scheduler.StepLR(optimizer, 2)
    optimizer.step = lambda: None
    with pytest.warns(UserWarning, match="has been overridden"):
        schedule.step()
