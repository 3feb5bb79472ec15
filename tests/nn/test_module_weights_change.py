"""Layers keep prepared weights between calls: every way to change the weights shows in the next output."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from support.side_by_side import ours

KINDS = ["Conv2d", "ConvTranspose2d"]
S = ours()


def by_state_dict(m: Any, w: Any) -> None:
    m.load_state_dict({"weight": w})


def by_assigned_state_dict(m: Any, w: Any) -> None:
    m.load_state_dict({"weight": w}, assign=True)


def by_data(m: Any, w: Any) -> None:
    m.weight.data = S.tensor(w)


def by_values_in_place(m: Any, w: Any) -> None:
    m.weight.data[...] = S.tensor(w)


def by_parameter(m: Any, w: Any) -> None:
    m.weight = S.nn.Parameter(S.tensor(w))


def by_vector(m: Any, w: Any) -> None:
    S.nn.utils.vector_to_parameters(S.tensor(w).reshape(-1), m.parameters())


def by_numpy_memory(m: Any, w: Any) -> None:
    m.weight.detach().numpy()[...] = w


def by_shared_state(m: Any, w: Any) -> None:
    m.state_dict()["weight"].copy_(S.tensor(w))


def by_conversion(m: Any, w: Any) -> None:
    m.double()
    m.weight.data.copy_(S.tensor(w))
    m.float()


def by_optimizer(m: Any, w: Any) -> None:
    m.weight.grad = m.weight.detach() - S.tensor(w)
    S.root.optim.SGD(m.parameters(), lr=1.0).step()


CHANGES = [
    by_state_dict, by_assigned_state_dict, by_data, by_values_in_place, by_parameter, by_vector,
    by_numpy_memory, by_shared_state, by_conversion, by_optimizer,
]  # fmt: skip


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("change", CHANGES)
def test_the_next_call_uses_the_new_weights(
    change: Callable[..., None], groups: int, kind: str, recorded: bool
) -> None:
    m = getattr(S.nn, kind)(4, 4, 3, groups=groups, bias=False)
    rng = np.random.default_rng(0)
    x = S.tensor(rng.normal(size=(1, 4, 8, 8)).astype(np.float32))
    with S.root.set_grad_enabled(recorded):
        for _ in range(3):
            before = m(x).detach().numpy().copy()
    new = rng.normal(size=tuple(m.weight.shape)).astype(np.float32)
    change(m, new)
    fresh = getattr(S.nn, kind)(4, 4, 3, groups=groups, bias=False)
    fresh.load_state_dict({"weight": new})
    with S.root.set_grad_enabled(recorded):
        for _ in range(2):
            new_outputs = [layer(x).detach().numpy() for layer in (m, fresh)]
            np.testing.assert_allclose(*new_outputs, rtol=1e-4, atol=1e-5)
    assert np.abs(before - fresh(x).detach().numpy()).max() > 0.1


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_of_layers_that_have_run(copier: Callable[[Any], Any]) -> None:
    m = S.nn.Sequential(S.nn.Conv2d(3, 4, 3), S.nn.BatchNorm2d(4), S.nn.ReLU()).eval()
    x = S.tensor(np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32))
    with S.root.no_grad():
        expected = m(x).numpy()
        copied = copier(m)
        np.testing.assert_array_equal(copied(x).numpy(), expected)
        copied[0].weight.zero_()
        copied[0].bias.zero_()
        np.testing.assert_array_equal(m(x).numpy(), expected)
        assert np.abs(copied(x).numpy()).max() == 0


def test_a_pickle_holds_the_weights_once() -> None:
    m = S.nn.Conv2d(32, 32, 3)
    with S.root.no_grad():
        m(S.tensor(np.zeros((1, 32, 8, 8), np.float32)))
    assert len(pickle.dumps(m)) < 1.5 * 32 * 32 * 9 * 4


@pytest.mark.parametrize("factor", [-1.0, 2.0, 0.0])
@pytest.mark.parametrize("start", ["random", "ones"])
def test_large_weights_that_change_all_alike(start: str, factor: float) -> None:
    m = S.nn.Conv2d(64, 64, 3, bias=False)
    x = S.tensor(np.random.default_rng(1).normal(size=(1, 64, 6, 6)).astype(np.float32))
    with S.root.no_grad():
        if start == "ones":
            m.weight.fill_(1)
        before = m(x).numpy().copy()
        m.weight.mul_(factor)
        np.testing.assert_allclose(m(x).numpy(), factor * before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shapes", [((32, 16, 3, 3), (16, 32, 3, 3)), ((96, 8, 1, 1), (48, 16, 1, 1))])
def test_the_same_bytes_in_another_shape(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=shapes[0]).astype(np.float32)
    m = S.nn.Conv2d(1, 1, shapes[0][2:], bias=False)
    with S.root.no_grad():
        for shape in shapes:
            weight = S.tensor(values.reshape(shape))
            m.weight.data = weight
            x = S.tensor(rng.normal(size=(1, shape[1], 7, 7)).astype(np.float32))
            expected = S.nn.functional.conv2d(x, weight).numpy()
            np.testing.assert_allclose(m(x).numpy(), expected, rtol=1e-4, atol=1e-4)


def a_large_layer() -> tuple[Any, Any]:
    m = S.nn.Conv2d(64, 64, 3, bias=False)
    x = S.tensor(np.random.default_rng(3).normal(size=(1, 64, 6, 6)).astype(np.float32))
    return m, x


def count_fingerprints(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    from convforge import plan

    taken: list[int] = []
    real = plan.fingerprint

    def counted(array: Any) -> Any:
        taken.append(array.nbytes)
        return real(array)

    monkeypatch.setattr(plan, "fingerprint", counted)
    return taken


@pytest.mark.parametrize("recorded", [False, True])
def test_weights_are_packed_once_for_all_calls_until_they_change(
    recorded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from convforge.plan import store

    packed: list[str] = []
    real = store._pack

    def counted(plan: Any, *arrays: Any) -> Any:
        packed.append(plan.describe())
        return real(plan, *arrays)

    monkeypatch.setattr(store, "_pack", counted)
    m, x = a_large_layer()
    with S.root.set_grad_enabled(recorded):
        for _ in range(3):
            m(x)
        assert len(packed) == 1
        m.weight.data.mul_(2)
        for _ in range(3):
            m(x)
        assert len(packed) == 2


@pytest.mark.parametrize("recorded", [False, True])
def test_weights_that_nobody_else_holds_are_not_read_for_changes(
    recorded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = count_fingerprints(monkeypatch)
    m, x = a_large_layer()
    with S.root.set_grad_enabled(recorded):
        first = [m(x).detach() for _ in range(3)]
        with S.root.no_grad():
            m.weight.mul_(2)
        changed = [m(x).detach() for _ in range(2)]
        for y in first[1:] + [y / 2 for y in changed]:
            assert S.root.equal(y, first[0])
    assert len(taken) == 0


def test_weights_that_someone_holds_are_read_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = count_fingerprints(monkeypatch)
    for hold in (
        lambda w: w.detach().numpy(),
        lambda w: w.detach(),
        lambda w: w.data[3],
        lambda w: memoryview(w.detach().numpy()),
        lambda w: w.data_ptr(),
    ):
        m, x = a_large_layer()
        held = hold(m.weight)
        taken.clear()
        with S.root.no_grad():
            for _ in range(3):
                m(x)
        assert len(taken) == 3
        del held


def test_writes_between_calls_through_what_is_dropped_at_once() -> None:
    m, x = a_large_layer()

    def through_an_address() -> None:
        import ctypes

        ctypes.memset(m.weight.data_ptr(), 0, 4 * 64 * 64 * 9)

    with S.root.no_grad():
        for write in (
            lambda: m.weight.detach().numpy().fill(0),
            lambda: m.weight.data.zero_(),
            lambda: m.weight.data.numpy().fill(0),
            lambda: np.from_dlpack(m.weight.detach()).fill(0),
            lambda: np.asarray(m.weight.detach()).fill(0),
            lambda: m.weight.detach()[:].zero_(),
            lambda: setattr(m.weight, "data", S.root.zeros_like(m.weight)),
            lambda: setattr(m, "weight", S.nn.Parameter(S.root.zeros_like(m.weight))),
            through_an_address,
        ):
            m.reset_parameters()
            for _ in range(3):
                assert np.abs(m(x).numpy()).max() > 0.1
            write()
            assert np.abs(m(x).numpy()).max() == 0
