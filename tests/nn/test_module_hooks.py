"""Hooks of modules: what they are given, what they may change, in which order, side by side with PyTorch."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import pytest

from support.side_by_side import Side, ours, plain, same


def affine(s: Side) -> Any:
    class Affine(s.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = s.parameter(3)

        def forward(self, x: Any, scale: float = 1.0, fail: bool = False) -> Any:
            if fail:
                raise RuntimeError("asked to fail")
            return x * self.weight * scale

    return Affine()


def two_outputs(s: Side) -> Any:
    class Two(s.nn.Module):
        def forward(self, x: Any, y: Any, z: Any = None) -> Any:
            return x * y, x + 1, "text"

    return Two()


def test_forward_hooks_run_in_order() -> None:
    def code(s: Side) -> Any:
        m, log = affine(s), []
        m.register_forward_hook(lambda m, a, out: log.append(("one", a, out)))
        m.register_forward_hook(lambda m, a, out: out + 1)
        m.register_forward_hook(lambda m, a, out: log.append(("first", a, out)), prepend=True)
        m.register_forward_hook(lambda m, a, k, out: log.append((a, k, out)), with_kwargs=True)
        result = m(s.tensor([1.0, 2.0, 3.0]), scale=2.0)
        return plain(result), plain(log)

    same(code)


def test_forward_pre_hooks_change_the_arguments() -> None:
    def code(s: Side) -> Any:
        m, log = affine(s), []
        m.register_forward_pre_hook(lambda m, a: log.append(a))
        m.register_forward_pre_hook(lambda m, a: a[0] * 2)
        m.register_forward_pre_hook(lambda m, a: (a[0] + 1,))
        m.register_forward_pre_hook(lambda m, a, k: (a, {"scale": 3.0}), with_kwargs=True)
        m.register_forward_pre_hook(lambda m, a, k: log.append((a, k)), with_kwargs=True, prepend=True)
        result = m(s.tensor([1.0, 2.0, 3.0]), scale=2.0)
        return plain(result), plain(log)

    same(code)


def test_a_pre_hook_with_kwargs_must_give_a_pair() -> None:
    def code(s: Side) -> Any:
        m = affine(s)
        m.register_forward_pre_hook(lambda m, a, k: 5, with_kwargs=True)
        return m(s.tensor([1.0, 2.0, 3.0]))

    same(code)


def test_handles_remove() -> None:
    def code(s: Side) -> Any:
        m, log = affine(s), []
        x = s.tensor([1.0, 2.0, 3.0])
        handle = m.register_forward_hook(lambda m, a, out: log.append("kept"), with_kwargs=False)
        with m.register_forward_hook(lambda m, a, k, out: log.append("block"), with_kwargs=True):
            m(x)
        m(x)
        handle.remove()
        handle.remove()
        m(x)
        return log, len(m._forward_hooks), len(m._forward_hooks_with_kwargs)

    same(code)


def test_a_handle_does_not_keep_the_module() -> None:
    s = ours()
    m = affine(s)
    handle = m.register_forward_hook(lambda m, a, out: None)
    del m
    gc.collect()
    assert handle.hooks_dict_ref() is None
    handle.remove()


def test_always_called_hooks_run_after_an_error() -> None:
    def code(s: Side) -> Any:
        m, log = affine(s), []
        m.register_forward_hook(lambda m, a, out: log.append(("plain", out)))
        m.register_forward_hook(lambda m, a, out: log.append(("always", out)), always_call=True)
        m.register_forward_hook(
            lambda m, a, k, out: log.append(("kwargs", k)), with_kwargs=True, always_call=True
        )

        def broken(m: Any, a: Any, out: Any) -> None:
            raise ValueError("hook broke")

        m.register_forward_hook(broken, always_call=True)
        try:
            m(s.tensor([1.0, 2.0, 3.0]), fail=True)
        except RuntimeError as error:
            log.append(str(error))
        return plain(log)

    same(code)


def test_common_hooks_come_first() -> None:
    def code(s: Side) -> Any:
        from importlib import import_module

        hooks = (
            s.root.nn.modules.module if s.root.__name__ == "torch" else import_module("convforge.nn.hooks")
        )
        m, log = affine(s), []
        m.register_forward_pre_hook(lambda m, a: log.append("own pre"))
        m.register_forward_hook(lambda m, a, out: log.append("own"))
        m.register_full_backward_pre_hook(lambda m, g: log.append("own backward pre"))
        m.register_full_backward_hook(lambda m, i, o: log.append("own backward"))
        handles = [
            hooks.register_module_forward_pre_hook(lambda m, a: log.append("pre")),
            hooks.register_module_forward_hook(lambda m, a, out: log.append("after")),
            hooks.register_module_forward_hook(lambda m, a, k, out: log.append(k), with_kwargs=True),
            hooks.register_module_forward_hook(lambda m, a, out: log.append("always"), always_call=True),
            hooks.register_module_full_backward_pre_hook(lambda m, g: log.append("backward pre")),
            hooks.register_module_full_backward_hook(lambda m, i, o: log.append("backward")),
            hooks.register_module_parameter_registration_hook(lambda m, n, p: log.append(n)),
            hooks.register_module_buffer_registration_hook(lambda m, n, b: log.append(n)),
            hooks.register_module_module_registration_hook(lambda m, n, c: log.append(n)),
        ]
        try:
            x = s.tensor([1.0, 2.0, 3.0]).requires_grad_()
            m(x, scale=2.0).sum().backward()
            m.extra = s.parameter(1)
            m.register_buffer("state", s.tensor([1.0]))
            m.child = s.nn.Sequential()
        finally:
            for handle in handles:
                handle.remove()
        m(x)
        return log

    same(code)


def test_registration_hooks_replace() -> None:
    s = ours()
    from convforge.nn import hooks

    with hooks.register_module_parameter_registration_hook(lambda m, n, p: s.parameter(5)):
        m = affine(s)
    assert m.weight.shape == (5,)


def backward_of(m: Any, *inputs: Any) -> Any:
    out = m(*inputs)
    out = out[0] if isinstance(out, tuple) else out
    out.sum().backward()
    return [getattr(x, "grad", None) for x in inputs]


def test_full_backward_hooks_see_and_change() -> None:
    def code(s: Side) -> Any:
        m, log = affine(s), []
        m.register_full_backward_pre_hook(lambda m, g: log.append(("pre", g)))
        m.register_full_backward_pre_hook(lambda m, g: (g[0] * 10,))
        m.register_full_backward_hook(lambda m, gi, go: log.append((gi, go)))
        m.register_full_backward_hook(lambda m, gi, go: (gi[0] + 1,))
        m.register_full_backward_hook(lambda m, gi, go: log.append(("first", gi)), prepend=True)
        x = s.tensor([1.0, 2.0, 3.0]).requires_grad_()
        grads = backward_of(m, x)
        return plain(log), plain(grads), plain(m.weight.grad)

    same(code)


def test_backward_hooks_of_many_inputs_and_outputs() -> None:
    def code(s: Side) -> Any:
        m, log = two_outputs(s), []
        m.register_full_backward_hook(lambda m, gi, go: log.append((gi, go)))
        x, y = s.tensor([1.0, 2.0]).requires_grad_(), s.tensor([3.0, 4.0])
        return plain(backward_of(m, x, y, "text")), plain(log)

    same(code)


def test_backward_hook_where_no_input_needs_a_gradient() -> None:
    def code(s: Side) -> Any:
        m, log = affine(s), []
        m.register_full_backward_hook(lambda m, gi, go: log.append((gi, go)))
        backward_of(m, s.tensor([1.0, 2.0, 3.0]))
        return plain(log), plain(m.weight.grad)

    same(code)


def test_backward_hooks_do_not_fire_without_gradients() -> None:
    def code(s: Side) -> Any:
        m, log = affine(s), []
        m.register_full_backward_hook(lambda m, gi, go: log.append(1))
        with s.root.no_grad():
            out = m(s.tensor([1.0, 2.0, 3.0]).requires_grad_())
        return out.requires_grad, log

    same(code)


@pytest.mark.parametrize("wrong", ["input", "output", "value"])
def test_wrong_backward_hooks(wrong: str) -> None:
    def code(s: Side) -> Any:
        m = affine(s)
        x = s.tensor([1.0, 2.0, 3.0])
        if wrong == "input":
            m.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
            x.requires_grad_()
        elif wrong == "output":
            m.register_full_backward_pre_hook(lambda m, go: (go[0], go[0]))
            x.requires_grad_()
        else:
            m.register_full_backward_hook(lambda m, gi, go: (go[0],))
        return backward_of(m, x)

    same(code)


def test_backward_hook_on_an_output_that_is_no_tensor() -> None:
    def code(s: Side) -> Any:
        class Dictionary(s.nn.Module):
            def forward(self, x: Any) -> Any:
                return {"out": x * 2}

        m = Dictionary()
        m.register_full_backward_hook(lambda m, gi, go: None)
        return m(s.tensor([1.0]).requires_grad_())

    same(code)


def test_double_backward_through_hooks() -> None:
    def code(s: Side) -> Any:
        m, log = affine(s), []
        m.register_full_backward_hook(lambda m, gi, go: log.append(len(gi)))
        x = s.tensor([1.0, 2.0, 3.0]).requires_grad_()
        (grad,) = s.root.autograd.grad((m(x) ** 2).sum(), [x], create_graph=True)
        grad.sum().backward()
        return plain(x.grad), plain(m.weight.grad), log

    same(code)


def test_the_two_kinds_of_backward_hooks_exclude_each_other() -> None:
    def full_then_plain(s: Side) -> Any:
        m = affine(s)
        m.register_full_backward_hook(lambda m, gi, go: None)
        m.register_backward_hook(lambda m, gi, go: None)

    def plain_then_full(s: Side) -> Any:
        m = affine(s)
        m.register_backward_hook(lambda m, gi, go: None)
        m.register_full_backward_hook(lambda m, gi, go: None)

    same(full_then_plain)
    same(plain_then_full)


def test_non_full_backward_hook() -> None:
    def code(s: Side) -> Any:
        class One(s.nn.Module):
            def forward(self, x: Any) -> Any:
                return x * 3.0

        m, log = One(), []
        m.register_backward_hook(lambda m, gi, go: log.append((gi[0], go[0])))
        x = s.tensor([1.0, 2.0]).requires_grad_()
        return plain(backward_of(m, x)), plain(log)

    same(code)


def remember(m: Any, args: Any, out: Any) -> None:
    m.seen = len(args)


def test_hooks_survive_pickle_and_deepcopy() -> None:
    s = ours()
    m = s.nn.Sequential()
    m.register_forward_hook(remember)
    x = s.tensor([1.0])
    for copied in (copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
        copied(x)
        assert copied.seen == 1
    assert not hasattr(m, "seen")


def test_hooks_put_into_the_dict_by_hand_run() -> None:
    s = ours()
    m = affine(s)
    m._forward_hooks[10**6] = remember
    m(s.tensor([1.0, 2.0, 3.0]))
    assert m.seen == 1
