"""What a module registers, under which names, and what it refuses, side by side with PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

from support.side_by_side import Side, same


def net(s: Side) -> Any:
    """A model with parameters, buffers of both kinds, absent members, shared members and three levels."""

    class Scale(s.nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.weight = s.parameter(n)
            self.register_parameter("bias", None)
            self.register_buffer("mean", s.tensor([0.5] * n))
            self.register_buffer("scratch", s.tensor([1.0]), persistent=False)
            self.register_buffer("absent", None)

        def forward(self, x: Any) -> Any:
            return x * self.weight + self.mean

        def extra_repr(self) -> str:
            return f"n={self.weight.shape[0]}"

    class Net(s.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = Scale(2)
            self.block = s.nn.Sequential(Scale(2), s.nn.Sequential(Scale(2)))
            self.again = self.first
            self.nothing = None
            self.register_module("empty", None)
            self.gain = s.parameter(1)
            self.shared = self.first.weight

        def forward(self, x: Any) -> Any:
            return self.block(self.first(x)) * self.gain

    return Net()


def after(change: str) -> Any:
    """Code that makes the net, runs the line on it as `m`, and tells what it has then."""

    def code(s: Side) -> Any:
        m = net(s)
        names = {"m": m, "s": s, "nn": s.nn, "P": s.parameter, "T": s.tensor}
        result = eval(change, names)
        return [result if not isinstance(result, s.nn.Module) else None, names_of(m)]

    code.__name__ = change
    return code


def names_of(m: Any) -> Any:
    return [
        list(m.state_dict()),
        [name for name, _ in m.named_parameters()],
        [name for name, _ in m.named_buffers()],
        [name for name, _ in m.named_modules()],
        [name for name, _ in m.named_children()],
        repr(m),
    ]


LINES = [
    "None",
    "[n for n, _ in m.named_parameters(prefix='p')]",
    "[n for n, _ in m.named_parameters(recurse=False)]",
    "[n for n, _ in m.named_parameters(remove_duplicate=False)]",
    "[n for n, _ in m.named_buffers(recurse=False)]",
    "[n for n, _ in m.named_buffers('q', True, False)]",
    "[n for n, _ in m.named_modules(prefix='r')]",
    "[n for n, _ in m.named_modules(remove_duplicate=False)]",
    "[n for n, _ in m.named_modules(memo={m.first})]",
    "[type(c).__name__ for c in m.children()]",
    "[type(c).__name__ for c in m.modules()]",
    "[p.shape for p in m.parameters()]",
    "[b.tolist() for b in m.first.buffers()]",
    "m.get_submodule('block.1.0') is m.block[1][0]",
    "m.get_submodule('') is m",
    "m.get_submodule('block.7')",
    "m.get_submodule('gain')",
    "m.get_submodule('block.weight.x')",
    "m.get_parameter('block.0.weight').tolist()",
    "m.get_parameter('block.0.mean')",
    "m.get_parameter('block.0.nope')",
    "m.get_buffer('first.mean').tolist()",
    "m.get_buffer('first.weight')",
    "m.get_buffer('first.nope')",
    "m.set_submodule('block.1', nn.Sequential())",
    "m.set_submodule('block.new', nn.Sequential())",
    "m.set_submodule('block.new', nn.Sequential(), strict=True)",
    "m.set_submodule('', nn.Sequential())",
    "m.set_submodule('gain', nn.Sequential())",
    "m.set_submodule('block.1', 3)",
    "setattr(m, 'gain', None)",
    "setattr(m, 'gain', P(3))",
    "setattr(m, 'gain', T([1.0]))",
    "setattr(m, 'gain', 3)",
    "setattr(m, 'gain', 'text')",
    "setattr(m, 'first', None)",
    "setattr(m, 'first', P(2))",
    "setattr(m, 'first', 2.5)",
    "setattr(m, 'first', nn.Sequential())",
    "setattr(m, 'nothing', nn.Sequential())",
    "setattr(m, 'nothing', P(1))",
    "setattr(m, 'new', nn.Buffer(T([1.0, 2.0])))",
    "setattr(m, 'new', nn.Buffer(T([1.0, 2.0]), persistent=False))",
    "setattr(m.first, 'mean', T([7.0, 8.0]))",
    "setattr(m.first, 'mean', P(2))",
    "setattr(m.first, 'mean', None)",
    "setattr(m.first, 'mean', 3)",
    "setattr(m.first, 'scratch', T([7.0, 8.0]))",
    "setattr(m.first, 'scratch', nn.Buffer(T([7.0, 8.0])))",
    "m.register_buffer('new', T([1.0]))",
    "m.register_buffer('gain', T([1.0]))",
    "m.register_buffer('a.b', T([1.0]))",
    "m.register_buffer('', T([1.0]))",
    "m.register_buffer(3, T([1.0]))",
    "m.register_buffer('new', 3)",
    "m.register_buffer('new', [1.0])",
    "m.first.register_buffer('mean', T([3.0]), persistent=False)",
    "m.register_parameter('new', P(2))",
    "m.register_parameter('new', None)",
    "m.register_parameter('first', P(2))",
    "m.register_parameter('a.b', P(2))",
    "m.register_parameter('', P(2))",
    "m.register_parameter(None, P(2))",
    "m.register_parameter('new', T([1.0]))",
    "m.register_parameter('new', 3)",
    "m.add_module('new', nn.Sequential())",
    "m.register_module('new', nn.Sequential())",
    "m.add_module('forward', nn.Sequential())",
    "m.add_module('a.b', nn.Sequential())",
    "m.add_module('', nn.Sequential())",
    "m.add_module(3, nn.Sequential())",
    "m.add_module('new', 3)",
    "m.add_module('new', nn.Sequential)",
    "delattr(m, 'gain')",
    "delattr(m, 'first')",
    "delattr(m.first, 'mean')",
    "delattr(m.first, 'scratch')",
    "delattr(m, 'nope')",
    "m.nope",
    "m.nope()",
    "nn.Sequential(3)",
    "nn.Module(3)",
    "nn.Module(a=3)",
    "nn.Module()(3)",
    "m.train(3)",
    "m.eval().training",
    "[x.training for x in m.eval().train().modules()]",
    "[p.requires_grad for p in m.requires_grad_(False).parameters()]",
    "[n for n in ('gain', 'first', 'mean', 'training', 'forward', '0') if n in dir(m)]",
    "[n for n in ('0', '1') if n in dir(m.block)]",
    "sorted(n for n in dir(m) if not n.startswith('_')) == sorted(set(n for n in dir(m) if n[0] != '_'))",
    "m.share_memory() is m",
    "m.cpu() is m",
    "m.float() is m",
    "[p.dtype.itemsize for p in m.double().parameters()]",
    "[b.dtype.itemsize for b in m.half().buffers()]",
    "[str(b.dtype) for b in m.bfloat16().buffers()]",
    "[str(b.dtype) for b in m.to(s.root.float64).buffers()]",
    "[str(b.dtype) for b in m.to('cpu', s.root.float16).buffers()]",
    "[str(b.dtype) for b in m.to(dtype=s.root.float64).buffers()]",
    "[str(b.dtype) for b in m.to(T([1.0], 'float64')).buffers()]",
    "m.to(s.root.int32)",
    "[str(p.dtype) for p in m.type(s.root.float64).parameters()]",
    "m.apply(lambda x: setattr(x, 'seen', True)) is m and all(x.seen for x in m.modules())",
]


@pytest.mark.parametrize("line", LINES)
def test_line(line: str) -> None:
    same(after(line))


def unready(s: Side) -> Any:
    class Forgot(s.nn.Module):
        def __init__(self, kind: str) -> None:
            if kind == "parameter":
                self.a = s.parameter(1)
            elif kind == "module":
                self.a = s.nn.Sequential()
            elif kind == "buffer":
                self.a = s.nn.Buffer(s.tensor([1.0]))
            elif kind == "register_buffer":
                self.register_buffer("a", s.tensor([1.0]))
            else:
                self.register_parameter("a", s.parameter(1))

    return Forgot


@pytest.mark.parametrize("kind", ["parameter", "module", "buffer", "register_buffer", "register_parameter"])
def test_assignment_before_init(kind: str) -> None:
    same(lambda s: unready(s)(kind))


def test_no_forward_is_named() -> None:
    same(lambda s: type("Odd", (s.nn.Module,), {})()(1))


def test_a_computed_parameter_is_refused() -> None:
    def code(s: Side) -> Any:
        p = s.parameter(2)
        computed = p * 2
        computed.__class__ = s.nn.Parameter
        s.nn.Module().register_parameter("p", computed)

    same(code)


def test_integers_take_no_gradients() -> None:
    same(lambda s: s.nn.Parameter(s.tensor([1, 2], "int64")))
    same(lambda s: s.nn.Parameter(s.tensor([1, 2], "int64"), requires_grad=False))


def test_cooperative_init() -> None:
    def code(s: Side) -> Any:
        class Mixin:
            def __init__(self, given: int) -> None:
                self.given = given

        class Both(s.nn.Module, Mixin):
            call_super_init = True

            def __init__(self) -> None:
                super().__init__(given=5)

        return Both().given

    same(code)


def test_register_buffer_without_persistent() -> None:
    def code(s: Side, persistent: bool) -> Any:
        class Old(s.nn.Module):
            def register_buffer(self, name: str, tensor: Any) -> None:
                super().register_buffer(name, tensor)

        m = Old()
        m.a = s.nn.Buffer(s.tensor([1.0]), persistent=persistent)
        return m.state_dict()

    same(lambda s: code(s, True))
    same(lambda s: code(s, False))
