"""Lazy modules and uninitialised parameters, side by side with PyTorch."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from support.side_by_side import Side, ours, plain, same


def make(s: Side) -> Any:
    class Scale(s.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = s.parameter(2)
            self.register_buffer("mean", s.tensor([0.0, 0.0]))

        def forward(self, x: Any) -> Any:
            return x * self.weight + self.mean

    lazy_mixin = (
        s.root.nn.modules.lazy.LazyModuleMixin if s.root.__name__ == "torch" else s.nn.LazyModuleMixin
    )

    class LazyScale(lazy_mixin, Scale):
        cls_to_become = Scale

        def __init__(self) -> None:
            super().__init__()
            self.weight = s.nn.UninitializedParameter()
            self.mean = s.nn.UninitializedBuffer()

        def initialize_parameters(self, x: Any) -> None:
            if self.has_uninitialized_params():
                with s.root.no_grad():
                    self.weight.materialize((x.shape[-1],))
                    self.weight.fill_(2.0)
                    self.mean.materialize((x.shape[-1],))
                    self.mean.fill_(1.0)

    return LazyScale(), Scale()


def test_first_call_initialises() -> None:
    def code(s: Side) -> Any:
        m, _ = make(s)
        before = (
            type(m).__name__,
            repr(m.weight),
            repr(m.mean),
            m.has_uninitialized_params(),
            list(m.state_dict()),
        )
        m.double()
        out = m(s.tensor([1.0, 2.0, 3.0], "float64"))
        kinds = type(m).__name__, type(m.weight).__name__, type(m.mean).__name__
        return before, plain(out), kinds, m.state_dict(), len(m._forward_pre_hooks), hasattr(m, "_load_hook")

    same(code)


def test_state_dicts_load_in_every_direction() -> None:
    def code(s: Side) -> Any:
        full, _ = make(s)
        full(s.tensor([1.0, 2.0, 3.0]))
        empty, _ = make(s)
        loaded = empty.load_state_dict(full.state_dict())
        again, _ = make(s)
        unloaded = again.load_state_dict(make(s)[0].state_dict())
        return repr(loaded), plain(empty.state_dict()), repr(unloaded), again.has_uninitialized_params()

    same(code)


def test_uninitialised_into_initialised() -> None:
    same(lambda s: make(s)[1].load_state_dict(make(s)[0].state_dict()))


@pytest.mark.parametrize(
    "use", ["p.shape", "p.share_memory_()", "p.size and None", "p.data.shape", "p.requires_grad"]
)
def test_use_of_an_uninitialised_parameter(use: str) -> None:
    same(lambda s: eval(use, {"p": s.nn.UninitializedParameter()}))


@pytest.mark.parametrize(
    "use", ["p + 1", "p * p", "p.sum()", "p.view(-1)", "p.numpy()", "p[0]", "p.detach()"]
)
def test_operations_are_refused(use: str) -> None:
    s = ours()
    with pytest.raises((ValueError, RuntimeError), match=r"uninitialized parameter"):
        eval(use, {"p": s.nn.UninitializedParameter(requires_grad=False)})


def test_materialize() -> None:
    def code(s: Side) -> Any:
        p = s.nn.UninitializedParameter(dtype=s.root.float64, requires_grad=False)
        b = s.nn.UninitializedBuffer()
        p.materialize((2, 3))
        b.materialize((4,), dtype=s.root.float16)
        return [
            type(p).__name__,
            type(b).__name__,
            list(p.shape),
            list(b.shape),
            str(p.dtype),
            str(b.dtype),
        ], (
            p.requires_grad,
            b.requires_grad,
        )

    same(code)


def test_copies_stay_uninitialised() -> None:
    s = ours()
    for tensor in (
        s.nn.UninitializedParameter(dtype=s.root.float64),
        s.nn.UninitializedBuffer(persistent=False),
    ):
        for copied in (copy.deepcopy(tensor), pickle.loads(pickle.dumps(tensor))):
            assert type(copied) is type(tensor)
            assert copied.dtype is tensor.dtype
            assert getattr(copied, "persistent", None) == getattr(tensor, "persistent", None)


def test_incomplete_lazy_modules() -> None:
    def missing(s: Side) -> Any:
        m, _ = make(s)
        type(m).initialize_parameters = lambda self, x: None
        return m(s.tensor([1.0]))

    def undefined(s: Side) -> Any:
        m, _ = make(s)
        del type(m).initialize_parameters
        return m(s.tensor([1.0]))

    same(missing)
    same(undefined)
