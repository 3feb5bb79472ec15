"""Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict, each operation beside PyTorch's."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

from support.side_by_side import Side, same


def layer(s: Side, name: str, n: int = 1) -> Any:
    """A module that prints as `name(n)` and adds n."""

    def forward(self: Any, x: Any) -> Any:
        return x + n

    return type(name, (s.nn.Module,), {"forward": forward, "extra_repr": lambda self: str(n)})()


def run(setup: str, line: str) -> Any:
    """Code that makes `c`, runs the line, and tells the result and what the container is then."""

    def code(s: Side) -> Any:
        names: dict[str, Any] = {
            "s": s, "nn": s.nn, "P": s.parameter, "T": s.tensor, "OrderedDict": OrderedDict,
            "A": layer(s, "A"), "B": layer(s, "B", 2), "C": layer(s, "C", 3), "D": layer(s, "D", 4),
        }  # fmt: skip
        names["c"] = eval(setup, names)
        if line.startswith("c "):
            exec(line, names)
            result = None
        else:
            result = eval(line, names)
        c = names["c"]
        return result, repr(c), list(c.state_dict()), [n for n, _ in c.named_modules()]

    return code


SEQUENTIAL = [
    "len(c)", "c[0]", "c[-1]", "c[1:]", "c[::2]", "c[5]", "c[-4]", "c['0']", "c[1.0]",
    "c.append(D)", "c.append(3)", "c.insert(1, D)", "c.insert(-1, D)", "c.insert(3, D)", "c.insert(9, D)",
    "c.insert(0, 3)", "c.extend(nn.Sequential(D, A))", "c.extend([D])", "c.pop(1)", "c.pop(-1)", "c.pop(7)",
    "c.pop(slice(0, 2))", "c.__delitem__(0)", "c.__delitem__(slice(1, None))", "c.__delitem__(8)",
    "c.__setitem__(0, D)", "c.__setitem__(-1, D)", "c.__setitem__(6, D)", "c.__setitem__(0, 4)",
    "c + nn.Sequential(D)", "c + [D]", "c += nn.Sequential(D)", "c += 3", "c * 2", "2 * c", "c *= 3",
    "c * 0", "c * 1.5", "c *= 0", "c *= 'x'", "list(c)", "A in c", "c(1)", "c(T([1.0]))", "c.forward(2)",
    "'0' in dir(c)", "getattr(c, '1')", "c.eval().training", "c.add_module('name', D)",
]  # fmt: skip


@pytest.mark.parametrize("line", SEQUENTIAL)
@pytest.mark.parametrize("setup", ["nn.Sequential(A, B, C)", "nn.Sequential(OrderedDict(a=A, b=B, c=C))"])
def test_sequential(setup: str, line: str) -> None:
    if "OrderedDict" in setup and line == "c *= 3":
        pytest.skip("PyTorch raises KeyError for named modules here, ours repeats them")
    same(run(setup, line))


def test_empty_sequential_is_the_identity() -> None:
    same(lambda s: s.nn.Sequential()(5))


def test_subclasses_of_sequential_slice_to_themselves() -> None:
    def code(s: Side) -> Any:
        kind = type("Chain", (s.nn.Sequential,), {})
        return kind(layer(s, "A"), layer(s, "B"))[:1]

    same(code)


LIST = [
    "len(c)", "c[0]", "c[-1]", "c[1:]", "c[5]", "c[-4]", "c['0']", "c.append(D)", "c.append(3)",
    "c.insert(1, D)", "c.insert(0, D)", "c.extend([D, A])", "c.extend(nn.ModuleList([D]))", "c.extend(3)",
    "c.pop(1)", "c.pop(-1)", "c.pop(9)", "c.__delitem__(0)", "c.__delitem__(slice(1, None))",
    "c.__setitem__(0, D)", "c.__setitem__(-1, D)", "c.__setitem__(0, 4)", "c + [D]", "c + nn.ModuleList([D])",
    "c += [D, D]", "c += 3", "list(c)", "c(1)", "'0' in dir(c)", "nn.ModuleList()", "nn.ModuleList([c, c])",
    "nn.ModuleList(3)", "nn.ModuleList([nn.Sequential(A, B), nn.Sequential(A, B), C])",
    "c.extend(x for x in [D])",
]  # fmt: skip


@pytest.mark.parametrize("line", LIST)
def test_module_list(line: str) -> None:
    same(run("nn.ModuleList([A, A, B])", line))


DICT = [
    "len(c)", "c['a']", "c['z']", "'a' in c", "list(c)", "list(c.keys())", "list(c.items())",
    "list(c.values())", "c.pop('a')", "c.pop('z')", "c.clear()", "c.update({'d': D, 'a': D})",
    "c.update([('d', D)])",
    "c.update([('d', D, 3)])", "c.update([3])", "c.update(3)", "c.update(nn.ModuleDict({'q': D}))",
    "c.__setitem__('d', D)", "c.__setitem__('d', 4)", "c.__setitem__('x.y', D)", "c.__setitem__('keys', D)",
    "c.__setitem__(3, D)", "c.__delitem__('a')", "c.__delitem__('z')", "c(1)", "nn.ModuleDict()",
    "nn.ModuleDict([['x', A], ['y', nn.ModuleDict({'z': B})]])",
]  # fmt: skip


@pytest.mark.parametrize("line", DICT)
def test_module_dict(line: str) -> None:
    same(run("nn.ModuleDict({'b': A, 'a': B})", line))


PARAMETER_LIST = [
    "len(c)", "c[0]", "c[-1]", "c[2]", "c[9]", "len(c[1:])", "c.append(T([1.0, 2.0]))", "c.append('text')",
    "c.extend([P(2), T([[1.0]])])", "c.extend(T([1.0]))", "c.extend(3)", "c.__setitem__(0, T([9.0]))",
    "c.__setitem__(5, T([9.0]))", "c += [P(1)]", "[type(x).__name__ for x in c]", "c(1)",
    "nn.ParameterList()",
    "[n for n, _ in c.named_parameters()]", "'0' in dir(c)", "nn.ParameterList([T([1, 2], 'float64')])",
]  # fmt: skip


@pytest.mark.parametrize("line", PARAMETER_LIST)
def test_parameter_list(line: str) -> None:
    same(run("nn.ParameterList([P(2, 3), T([1.0]), 7])", line))


PARAMETER_DICT = [
    "len(c)", "c['a']", "c['z']", "'a' in c", "list(c)", "list(reversed(c))", "list(c.keys())",
    "list(c.items())", "list(c.values())", "c.pop('a')", "c.popitem()", "c.clear()", "c.get('z')",
    "c.get('z', 3)",
    "c.get('a')", "c.setdefault('a', P(1))", "c.setdefault('z', T([1.0]))", "c.setdefault('y')", "c.copy()",
    "c.fromkeys(['p', 'q'], 3)", "c.update({'z': P(1), 'd': P(2)})",
    "c.update([('z', P(1)), ('d', T([1.0]))])",
    "c.update(OrderedDict(z=P(1), d=P(2)))", "c.update([3])", "c.update([('a', 1, 2)])", "c.update(3)",
    "c.__setitem__('d', T([1.0]))", "c.__setitem__('a', None)", "c.__delitem__('a')", "c.__delitem__('z')",
    "c | nn.ParameterDict({'z': P(1)})", "c |= nn.ParameterDict({'z': P(1)})", "c(1)", "nn.ParameterDict()",
    "[n for n, _ in c.named_parameters()]",
]  # fmt: skip


@pytest.mark.parametrize("line", PARAMETER_DICT)
def test_parameter_dict(line: str) -> None:
    same(run("nn.ParameterDict({'b': P(2, 3), 'a': P(1), 'c': 5})", line))


def test_parameter_dict_wants_strings() -> None:
    same(lambda s: s.nn.ParameterDict().__setitem__(3, s.parameter(1)))


def test_nested_representation() -> None:
    def code(s: Side) -> Any:
        class Lines(s.nn.Module):
            def extra_repr(self) -> str:
                return "one\n\ntwo"

        with_lines = s.nn.ModuleList([s.nn.Sequential(Lines()), s.nn.Sequential(Lines())])
        lines = Lines()
        lines.child = s.nn.ModuleDict({"k": with_lines})
        return repr(s.nn.Sequential(OrderedDict(x=lines, y=with_lines)))

    same(code)
