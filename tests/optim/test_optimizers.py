"""Trajectories, states and refusals of the optimizers."""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import Any

import numpy as np
import pytest

from convforge import optim
from convforge.autograd.tensor import from_data

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="compares with PyTorch")

SGD_OPTIONS = [
    {"lr": 0.1, "momentum": m, "dampening": d, "weight_decay": w, "nesterov": n, "maximize": x}
    for m, d, w, n, x in itertools.product((0, 0.9), (0, 0.3), (0, 0.05), (False, True), (False, True))
    if not n or (m and not d)
]
ADAM_OPTIONS = [
    {"lr": 0.05, "betas": b, "eps": e, "weight_decay": w, "amsgrad": a, "maximize": x}
    for b, e, w, a, x in itertools.product(
        ((0.9, 0.999), (0.3, 0.8)), (1e-8, 0.1), (0, 0.05), (False, True), (False, True)
    )
]
OPTIONS = [
    *(("SGD", each) for each in SGD_OPTIONS),
    *(("Adam", each) for each in ADAM_OPTIONS),
    *(("AdamW", each) for each in ADAM_OPTIONS),
]
START = np.random.default_rng(0).normal(size=(3, 4))


def parameter(values: Any = START, dtype: Any = np.float32) -> Any:
    return from_data(np.array(values).astype(dtype)).requires_grad_()


def gradient(data: Any, step: int) -> Any:
    """Of a bowl with a ripple, and a kick that is the same whatever the parameter."""
    kick = np.sin(step + np.arange(data.size)).reshape(data.shape)
    if data.dtype.kind == "c":
        return 2 * data + kick * (1 + 2j)
    return (2 * data + np.cos(3 * data.astype(np.float64)) + kick).astype(data.dtype)


def walk(optimizer: Any, params: list[Any], steps: int, first: int = 0) -> None:
    for step in range(first, first + steps):
        for param in params:
            param.grad = from_data(gradient(param._data, step))
        optimizer.step()


def walk_torch(optimizer: Any, params: list[Any], steps: int, first: int = 0) -> None:
    for step in range(first, first + steps):
        for param in params:
            param.grad = torch.from_numpy(gradient(param.detach().numpy(), step))
        optimizer.step()


@needs_torch
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_trajectory(name, options, dtype):
    tolerance = 2e-5 if dtype == "float32" else 1e-11
    ours, theirs = parameter(dtype=dtype), torch.tensor(START.astype(dtype), requires_grad=True)
    mine, other = getattr(optim, name)([ours], **options), getattr(torch.optim, name)([theirs], **options)
    walk(mine, [ours], 20)
    walk_torch(other, [theirs], 20)
    np.testing.assert_allclose(ours._data, theirs.detach().numpy(), rtol=tolerance, atol=tolerance)
    expected = other.state[theirs]
    assert mine.state[ours].keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(mine.state[ours][key]._data, value.numpy(), rtol=tolerance, atol=tolerance)
    assert ours._version == 20


@needs_torch
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_complex_trajectory(name):
    options = {"lr": 0.05, "weight_decay": 0.1} | ({"momentum": 0.9} if name == "SGD" else {"amsgrad": True})
    start = START + 1j * START[::-1]
    ours, theirs = parameter(start, np.complex128), torch.tensor(start, requires_grad=True)
    walk(getattr(optim, name)([ours], **options), [ours], 20)
    walk_torch(getattr(torch.optim, name)([theirs], **options), [theirs], 20)
    np.testing.assert_allclose(ours._data, theirs.detach().numpy(), rtol=1e-10)


@needs_torch
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_trajectory_of_16_bits(name, dtype):
    import ml_dtypes

    options = {"lr": 0.05} | ({"momentum": 0.9, "nesterov": True} if name == "SGD" else {"eps": 1e-3})
    ours = parameter(dtype=ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    theirs = torch.tensor(ours._data.astype(np.float32), dtype=getattr(torch, dtype), requires_grad=True)
    mine, other = getattr(optim, name)([ours], **options), getattr(torch.optim, name)([theirs], **options)
    for step in range(5):
        kick = np.sin(step + np.arange(12.0)).reshape(3, 4).astype(ours._data.dtype)
        ours.grad = from_data(kick)
        theirs.grad = torch.tensor(kick.astype(np.float32), dtype=theirs.dtype)
        mine.step()
        other.step()
    # PyTorch rounds after every operation, we once: a few roundings of a number of about 2.
    tolerance = 8 * (2.0**-8 if dtype == "bfloat16" else 2.0**-11)
    expected = theirs.detach().float().numpy()
    np.testing.assert_allclose(ours._data.astype(np.float32), expected, rtol=tolerance, atol=tolerance)


def test_one_step_by_hand():
    param = parameter([1.0, -2.0])
    optimizer = optim.SGD([param], lr=0.5, momentum=0.5, weight_decay=0.1)
    for _ in range(2):
        param.grad = from_data(np.array([1.0, 1.0], np.float32))
        optimizer.step()
    # g1 = 1 + 0.1 p, p1 = p - 0.5 g1; b2 = 0.5 g1 + 1 + 0.1 p1, p2 = p1 - 0.5 b2
    p, g = np.array([1.0, -2.0]), 1 + 0.1 * np.array([1.0, -2.0])
    p1 = p - 0.5 * g
    np.testing.assert_allclose(param._data, p1 - 0.5 * (0.5 * g + 1 + 0.1 * p1), rtol=1e-6)


def test_adams_first_step_is_the_learning_rate():
    param = parameter([1.0, -2.0])
    param.grad = from_data(np.array([3.0, -1e-3], np.float32))
    optim.Adam([param], lr=0.25).step()
    np.testing.assert_allclose(param._data, [0.75, -1.75], rtol=1e-4)


def test_groups_have_options_of_their_own():
    first, second, third = parameter(), parameter(), parameter()
    optimizer = optim.SGD([{"params": [first], "lr": 1.0}, {"params": second}], lr=0.5)
    optimizer.add_param_group({"params": (third,), "lr": 0.0})
    for each in (first, second, third):
        each.grad = from_data(np.ones((3, 4), np.float32))
    optimizer.step()
    moved = [float(np.abs(each._data - START.astype(np.float32)).max()) for each in (first, second, third)]
    assert moved == pytest.approx([1.0, 0.5, 0.0], abs=1e-6)


def test_names_of_parameters():
    optimizer = optim.SGD([("weight", parameter()), ("bias", parameter())], lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    with pytest.raises(ValueError, match="without names"):
        optimizer.add_param_group({"params": [parameter()]})
    with pytest.raises(ValueError, match="Some param names are missing"):
        optim.SGD([("weight", parameter()), parameter()])


def test_parameters_without_gradient_stay():
    param, still = parameter(), parameter()
    optimizer = optim.Adam([param, still], lr=0.1)
    param.grad = from_data(np.ones((3, 4), np.float32))
    optimizer.step()
    assert np.array_equal(still._data, START.astype(np.float32))
    assert still not in optimizer.state
    assert still._version == 0


def test_zero_grad():
    param = parameter()
    optimizer = optim.SGD([param])
    param.grad = grad = from_data(np.ones((3, 4), np.float32))
    optimizer.zero_grad(set_to_none=False)
    assert param.grad is grad
    assert (grad._data == 0).all()
    optimizer.zero_grad()
    assert param.grad is None


def test_closure_and_hooks():
    param = parameter()
    optimizer = optim.SGD([param], lr=1.0)
    seen: list[Any] = []
    before = optimizer.register_step_pre_hook(
        lambda opt, args, kwargs: seen.append(("before", opt, args, kwargs))
    )
    optimizer.register_step_post_hook(
        lambda opt, args, kwargs: seen.append(("after", float(param._data[0, 0])))
    )

    def closure() -> float:
        from convforge.autograd.grad_mode import is_grad_enabled

        assert is_grad_enabled()
        param.grad = from_data(np.ones((3, 4), np.float32))
        return 7.0

    assert optimizer.step(closure) == 7.0
    before.remove()
    optimizer.step()
    assert [each[0] for each in seen] == ["before", "after", "after"]
    assert seen[1][1] == pytest.approx(START[0, 0] - 1)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_going_on_from_a_saved_state(name):
    options = {"momentum": 0.9} if name == "SGD" else {"amsgrad": True}
    straight = parameter()
    walk(getattr(optim, name)([straight], lr=0.1, **options), [straight], 10)
    param = parameter()
    optimizer = getattr(optim, name)([param], lr=0.1, **options)
    walk(optimizer, [param], 5)
    other = parameter(param._data)
    resumed = getattr(optim, name)([other], lr=0.7)
    saved = optimizer.state_dict()
    resumed.load_state_dict(copy.deepcopy(saved))
    assert resumed.param_groups[0]["lr"] == 0.1
    walk(resumed, [other], 5, first=5)
    np.testing.assert_array_equal(other._data, straight._data)
    # The loaded state is a copy: the first optimizer's is where it was.
    assert saved["state"][0] is optimizer.state[param]
    if name != "SGD":
        assert float(saved["state"][0]["step"]._data) == 5


@needs_torch
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_state_dict_is_pytorchs(name):
    options = {"momentum": 0.9} if name == "SGD" else {"amsgrad": True}
    ours, theirs = [parameter(), parameter()], [torch.tensor(START, requires_grad=True) for _ in range(2)]
    mine = getattr(optim, name)([{"params": ours[:1], "lr": 0.3}, {"params": ours[1:]}], **options)
    other = getattr(torch.optim, name)([{"params": theirs[:1], "lr": 0.3}, {"params": theirs[1:]}], **options)
    walk(mine, ours, 3)
    walk_torch(other, theirs, 3)
    saved, expected = mine.state_dict(), other.state_dict()
    assert saved["param_groups"] == expected["param_groups"]
    for number, state in expected["state"].items():
        assert {k: v._data.shape for k, v in saved["state"][number].items()} == {
            k: tuple(v.shape) for k, v in state.items()
        }
    assert repr(mine) == repr(other)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_copies_go_the_same_way(duplicate):
    param = parameter()
    optimizer = optim.Adam([param], lr=0.1)
    optim.lr_scheduler.StepLR(optimizer, 3)
    walk(optimizer, [param], 2)
    again = duplicate(optimizer)
    (other,) = again.param_groups[0]["params"]
    assert other is not param
    walk(optimizer, [param], 3, first=2)
    walk(again, [other], 3, first=2)
    np.testing.assert_array_equal(other._data, param._data)


def test_duplicates_are_warned_of():
    param = parameter()
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optim.SGD([param, param])


REFUSED = [
    (lambda o, p: o.SGD([p], lr=-1), ValueError, "Invalid learning rate: -1"),
    (lambda o, p: o.SGD([p], momentum=-0.1), ValueError, "Invalid momentum value: -0.1"),
    (lambda o, p: o.SGD([p], weight_decay=-0.1), ValueError, "Invalid weight_decay value: -0.1"),
    (lambda o, p: o.SGD([p], nesterov=True), ValueError, "Nesterov momentum requires a momentum and zero"),
    (lambda o, p: o.SGD([p], momentum=0.9, dampening=0.1, nesterov=True), ValueError, "Nesterov momentum"),
    (lambda o, p: o.SGD([p], foreach=True, fused=True), RuntimeError, "`fused` and `foreach`"),
    (lambda o, p: o.Adam([p], lr=-1), ValueError, "Invalid learning rate: -1"),
    (lambda o, p: o.Adam([p], eps=-1), ValueError, "Invalid epsilon value: -1"),
    (lambda o, p: o.Adam([p], betas=(1.0, 0.9)), ValueError, "Invalid beta parameter at index 0: 1.0"),
    (lambda o, p: o.Adam([p], betas=(0.9, -0.1)), ValueError, "Invalid beta parameter at index 1: -0.1"),
    (lambda o, p: o.Adam([p], betas=(0, 0.9)), ValueError, "betas must be either both floats"),
    (lambda o, p: o.AdamW([p], weight_decay=-1), ValueError, "Invalid weight_decay value: -1"),
    (lambda o, p: o.Adam([]), ValueError, "optimizer got an empty parameter list"),
    (lambda o, p: o.Adam(p), TypeError, "params argument given to the optimizer should be an iterable"),
    (
        lambda o, p: o.Adam([3]),
        TypeError,
        "optimizer can only optimize Tensors, but one of the params is int",
    ),
    (lambda o, p: o.SGD([{"params": {p}}]), TypeError, "organized in ordered collections"),
    (lambda o, p: o.SGD([{"params": [p]}, {"params": [p]}]), ValueError, "more than one parameter group"),
    (lambda o, p: o.SGD([p]).add_param_group([p]), TypeError, "param_group must be a dict"),
    (
        lambda o, p: o.SGD([p]).load_state_dict({"state": {}, "param_groups": []}),
        ValueError,
        "different number",
    ),
    (
        lambda o, p: o.SGD([p]).load_state_dict({"state": {}, "param_groups": [{"params": []}]}),
        ValueError,
        "doesn't match the size of optimizer's group",
    ),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_refused(call, error, words):
    with pytest.raises(error, match=words):
        call(optim, parameter())
    if torch is not None:
        with pytest.raises(error, match=words):
            call(torch.optim, torch.zeros(2, requires_grad=True))


def test_results_of_operations_cannot_be_optimized():
    from convforge.autograd.grad_mode import enable_grad

    with enable_grad():
        made = parameter() * 2
    with pytest.raises(ValueError, match="can't optimize a non-leaf Tensor"):
        optim.SGD([made])
    with pytest.raises(ValueError, match="differentiable"):
        optim.SGD([parameter()], differentiable=True)


def test_a_learning_rate_may_be_a_tensor():
    param = parameter([1.0])
    optimizer = optim.SGD([param], lr=from_data(np.array(0.5)))
    param.grad = from_data(np.ones(1, np.float32))
    optimizer.step()
    assert param._data.tolist() == [0.5]
    with pytest.raises(ValueError, match="Tensor lr must be 1-element"):
        optim.SGD([param], lr=from_data(np.zeros(2)))


def test_a_base_says_what_a_subclass_must_define():
    param = parameter()
    param.grad = from_data(np.ones((3, 4), np.float32))
    with pytest.raises(NotImplementedError, match="Optimizer must define _update"):
        optim.Optimizer([param], {}).step()
    with pytest.raises(ValueError, match="didn't specify a value of required optimization parameter lr"):
        optim.Optimizer([param], {"lr": optim.optimizer.required})
