"""State dicts: keys, metadata, messages, both ways between the libraries; pickles and deep copies."""

from __future__ import annotations

import copy
import io
import pickle
from collections import OrderedDict
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from support.side_by_side import Side, ours, plain, same, theirs


def net(s: Side, n: int = 2) -> Any:
    class Part(s.nn.Module):
        _version = 3

        def __init__(self, n: int) -> None:
            super().__init__()
            self.weight = s.parameter(n, 2)
            self.register_parameter("bias", None)
            self.register_buffer("mean", s.tensor([0.5] * n))
            self.register_buffer("count", s.tensor(4, "int64"))
            self.register_buffer("scratch", s.tensor([1.0]), persistent=False)

    class Net(s.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = Part(n)
            self.rest = s.nn.Sequential(OrderedDict(a=Part(n), b=s.nn.Sequential()))

    return Net()


def test_keys_values_and_metadata() -> None:
    def code(s: Side) -> Any:
        state = net(s).state_dict()
        assert type(state) is OrderedDict
        return state, state._metadata, [t.requires_grad for t in state.values()]

    same(code)


def test_prefix_and_keep_vars() -> None:
    def code(s: Side) -> Any:
        m = net(s)
        state = m.state_dict(prefix="model.", keep_vars=True)
        mine = OrderedDict(other=1)
        m.state_dict(destination=mine, prefix="p.")
        return (
            list(state),
            state._metadata,
            [t.requires_grad for t in state.values()],
            state["model.first.weight"] is m.first.weight,
            list(mine),
            hasattr(mine, "_metadata"),
        )

    same(code)


def test_positional_arguments_warn() -> None:
    same(lambda s: list(net(s).state_dict(OrderedDict(), "p.", True)))


def test_state_shares_memory() -> None:
    def code(s: Side) -> Any:
        m = net(s)
        m.state_dict()["first.weight"].zero_()
        return m.first.weight

    same(code)


CHANGES = [
    "None",
    "state.pop('first.weight')",
    "[state.pop('first.weight'), state.pop('rest.a.mean')]",
    "state.update({'first.bias': T([1.0]), 'more': T([1.0]), 'more.deep': T([1.0])})",
    "[state.pop('first.count'), state.update({'other.weight': T([1.0])})]",
    "state.update({'first.weight': T([1.0])})",
    "state.update({'first.weight': T([[1.0, 2.0]]), 'first.mean': T([[1.0]])})",
    "state.update({'first.weight': 3})",
    "state.update({'first.weight': [1.0, 2.0]})",
    "state.update({'first.weight': None})",
    "state.update({'first.scratch': T([1.0])})",
    "state.update({'first.count': T([5], 'int64')})",
    "state.update({'first.count': T(5.0)})",
    "state.update({'first.weight': T([[1.0, 2.0], [3.0, 4.0]], 'float64')})",
    "state.clear()",
]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("assign", [True, False])
@pytest.mark.parametrize("change", CHANGES)
def test_load(change: str, strict: bool, assign: bool) -> None:
    def code(s: Side) -> Any:
        m, state = net(s), net(s).state_dict()
        for tensor in state.values():
            tensor.zero_()
        eval(change, {"state": state, "T": s.tensor})
        result = m.load_state_dict(state, strict=strict, assign=assign)
        return (
            repr(result),
            result.missing_keys,
            result.unexpected_keys,
            m.state_dict(),
            [p.requires_grad for p in m.parameters()],
        )

    same(code)


@pytest.mark.parametrize("given", [3, None, [("a", 1)]])
def test_load_wants_a_mapping(given: Any) -> None:
    same(lambda s: net(s).load_state_dict(given))


def test_load_keeps_the_parameters_objects() -> None:
    def code(s: Side) -> Any:
        m = net(s)
        before = m.first.weight
        m.load_state_dict(net(s).state_dict())
        kept = m.first.weight is before
        m.load_state_dict(net(s).state_dict(), assign=True)
        return kept, m.first.weight is before, type(m.first.weight).__name__

    same(code)


def test_hooks_of_both_directions() -> None:
    def code(s: Side) -> Any:
        m, log = net(s), []

        def post(module: Any, state: Any, prefix: str, metadata: Any) -> None:
            log.append(("post", prefix, dict(metadata)))
            state[prefix + "extra"] = s.tensor([1.0])

        def drop_extra(module: Any, state: Any, prefix: str, *rest: Any) -> None:
            log.append(("load", prefix, rest[0], rest[1]))
            state.pop(prefix + "extra")

        m.register_state_dict_pre_hook(lambda m, prefix, keep: log.append(("pre", prefix, keep)))
        m.first.register_state_dict_post_hook(post)
        m._register_state_dict_hook(lambda m, state, prefix, meta: OrderedDict(state, last=1))
        state = m.state_dict()
        del state["last"]
        m.first.register_load_state_dict_pre_hook(drop_extra)
        m.register_load_state_dict_post_hook(lambda m, keys: log.append(list(keys.missing_keys)))
        result = m.load_state_dict(state)
        return log, repr(result), list(state)

    same(code)


def test_misused_hooks() -> None:
    def returns(s: Side) -> Any:
        m = net(s)
        m.register_state_dict_post_hook(lambda *a: OrderedDict())
        return m.state_dict()

    def twice(s: Side) -> Any:
        def hook(*a: Any) -> None: ...

        m = net(s)
        m.register_state_dict_post_hook(hook)
        m._register_state_dict_hook(hook)

    def post_returns(s: Side) -> Any:
        m = net(s)
        m.register_load_state_dict_post_hook(lambda *a: 3)
        return m.load_state_dict(m.state_dict())

    same(returns)
    same(twice)
    same(post_returns)


def test_post_hook_may_forgive() -> None:
    def code(s: Side) -> Any:
        m = net(s)
        m.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
        return repr(m.load_state_dict({}, strict=True))

    same(code)


def extra(s: Side) -> Any:
    class Extra(s.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value = 1

        def get_extra_state(self) -> Any:
            return {"value": self.value}

        def set_extra_state(self, state: Any) -> None:
            self.value = state["value"]

    return s.nn.Sequential(Extra())


def test_extra_state() -> None:
    def code(s: Side) -> Any:
        m, other = extra(s), extra(s)
        m[0].value = 7
        result = other.load_state_dict(m.state_dict())
        return list(m.state_dict().items()), other[0].value, repr(result)

    same(code)
    same(lambda s: extra(s).load_state_dict({}))
    same(lambda s: s.nn.Sequential().load_state_dict({"_extra_state": 3}))


def test_old_versions_are_converted() -> None:
    def code(s: Side) -> Any:
        seen = []

        class New(s.nn.Module):
            _version = 2

            def __init__(self) -> None:
                super().__init__()
                self.weight = s.parameter(2)

            def _load_from_state_dict(self, state: Any, prefix: str, meta: Any, *rest: Any) -> None:
                seen.append((prefix, meta.get("version")))
                if meta.get("version", 1) < 2:
                    state[prefix + "weight"] = state.pop(prefix + "w")
                super()._load_from_state_dict(state, prefix, meta, *rest)

        m = s.nn.Sequential(New())
        m.load_state_dict({"0.w": s.tensor([5.0, 6.0])})
        m.load_state_dict(m.state_dict())
        return m.state_dict(), seen

    same(code)


def test_arrays_are_taken() -> None:
    s = ours()
    m = net(s)
    state = {k: np.full(tuple(v.shape), 3, v.dtype.numpy) for k, v in m.state_dict().items()}
    m.load_state_dict(state)
    assert m.first.weight.tolist() == [[3.0, 3.0], [3.0, 3.0]]
    m.load_state_dict(state, assign=True)
    assert isinstance(m.first.weight, s.nn.Parameter)
    assert m.first.count.item() == 3
    with pytest.raises(RuntimeError, match=r"size mismatch for first.mean: copying a param with shape"):
        m.load_state_dict({**state, "first.mean": np.zeros(3)})


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_both_ways_with_torch(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    here, there = ours(), theirs()
    assert there is not None
    mine, other = net(here).to(getattr(here.root, dtype)), net(there).to(getattr(torch, dtype))
    with torch.no_grad():
        other.first.weight.add_(0.25)
    mine.load_state_dict(other.state_dict())
    assert plain(mine.state_dict()) == plain(other.state_dict())
    mine.load_state_dict(other.state_dict(keep_vars=True))
    with here.root.no_grad():
        mine.first.weight.mul_(2.0)
    if dtype == "bfloat16":
        arrays = {k: v.detach().float().numpy() for k, v in mine.state_dict().items()}
    else:
        arrays = {k: v.numpy() for k, v in mine.state_dict().items()}
    other.load_state_dict({k: torch.from_numpy(np.asarray(v)) for k, v in arrays.items()})
    assert plain(mine.state_dict()) == plain(other.state_dict())


def test_torch_files_load() -> None:
    torch = pytest.importorskip("torch")
    there = theirs()
    assert there is not None
    file = io.BytesIO()
    torch.save(net(there).state_dict(), file)
    file.seek(0)
    m = net(ours())
    assert repr(m.load_state_dict(torch.load(file))) == "<All keys matched successfully>"


class Small(ours().nn.Module):  # at the top of the file, so that it can be pickled
    def __init__(self) -> None:
        super().__init__()
        s = ours()
        self.weight = s.parameter(2, 3)
        self.again = self.weight
        self.frozen = s.parameter(2, requires_grad=False)
        self.register_buffer("mean", s.tensor([1.0, 2.0]))
        self.register_buffer("scratch", s.tensor([3.0]), persistent=False)
        self.inner = s.nn.Sequential(s.nn.Sequential())
        self.name = "small"


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(copier: Any) -> None:
    m = Small().eval()
    m.weight.grad = ours().tensor([[1.0] * 3] * 2)
    c = copier(m)
    assert type(c) is Small
    assert repr(c) == repr(m)
    assert plain(c.state_dict()) == plain(m.state_dict())
    assert c.again is c.weight
    assert type(c.weight) is ours().nn.Parameter
    assert [p.requires_grad for p in c.parameters()] == [True, False]
    assert (c.training, c.name, c.scratch.tolist()) == (False, "small", [3.0])
    assert "scratch" in c._non_persistent_buffers_set
    with ours().root.no_grad():
        c.weight.zero_()
        c.mean.zero_()
    assert m.weight.tolist()[1] == [3.0, 4.0, 5.0]
    assert m.mean.tolist() == [1.0, 2.0]


def test_pickles_from_before_hooks_existed() -> None:
    m = Small()
    state = m.__getstate__()
    for name in [*state]:
        if name.endswith("_hooks") or name == "_non_persistent_buffers_set":
            del state[name]
    old = Small.__new__(Small)
    old.__setstate__(state)
    old.register_forward_hook(lambda *a: None)
    assert repr(old) == repr(m)


def test_zero_grad() -> None:
    def code(s: Side) -> Any:
        m = net(s)
        (m.first.weight * 2).sum().backward()
        grads = [m.first.weight.grad.tolist()]
        m.zero_grad(set_to_none=False)
        grads.append(m.first.weight.grad.tolist())
        m.zero_grad()
        return grads, m.first.weight.grad, m.rest.a.weight.grad

    same(code)


def test_conversion_takes_gradients_along() -> None:
    def code(s: Side) -> Any:
        m = net(s)
        before = m.first.weight
        (m.first.weight * 2).sum().backward()
        m.double()
        return m.first.weight is before, m.first.weight, m.first.weight.grad, m.first.weight.requires_grad

    same(code)


def test_bfloat16_arrays_from_ml_dtypes() -> None:
    s = ours()
    m = net(s).bfloat16()
    m.load_state_dict({"first.mean": np.array([1.5, 2.5], ml_dtypes.bfloat16)}, strict=False)
    assert m.first.mean.tolist() == [1.5, 2.5]
