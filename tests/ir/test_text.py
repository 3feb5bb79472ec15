"""What `ir` writes, read back by LLVM."""

from __future__ import annotations

import math

import pytest
from llvmlite import binding as llvm

from convforge.ir.emitter import Emitter, Module
from convforge.ir.text import DOUBLE, FLOAT, HALF, I1, I32, I64, Type, constant, splat, vector, zeros
from convforge.target import Target


def verified(module: Module) -> llvm.ModuleRef:
    """The module as LLVM read it."""
    read = llvm.parse_assembly(str(module))
    read.verify()
    return read


def function(arguments: str = "pi") -> tuple[Module, Emitter]:
    """An open function `task`."""
    module = Module(Target.host().triple)
    return module, module.function("task", arguments)


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, 1 / 3, -6e-8, 65504.0, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("kind", [HALF, FLOAT, DOUBLE])
def test_floats_keep_their_bits(kind: Type, value: float) -> None:
    module, e = function()
    e.b.store(kind(value), e.arguments[0], align=8)
    e.done()
    (line,) = [line for line in str(verified(module)).splitlines() if "store" in line]
    assert line.strip().startswith(f"store {kind.text} ")
    if value == 0.0:
        written = line.split()[2].rstrip(",")
        assert written in (
            {"0xH0000", "0.000000e+00"} if math.copysign(1, value) > 0 else {"0xH8000", "-0.000000e+00"}
        )


def test_equal_numbers_of_different_sign_are_different_constants() -> None:
    kind = vector(FLOAT, 4)
    assert splat(kind, 0.0).text != splat(kind, -0.0).text
    assert splat(vector(I32, 4), 0).text != splat(kind, 0.0).text


def test_loops_branches_and_calls_are_read_by_llvm() -> None:
    module, e = function("pi")
    pointer, count = e.arguments
    kind = vector(FLOAT, 4)
    add = module.declare("llvm.fma.v4f32", kind, [kind] * 3)
    with e.loop(0, count, carried=[zeros(kind)], name="outer") as outer:
        with e.loop(0, outer.index, 2, carried=outer.carried, name="inner") as inner:
            x = e.b.load(e.at(pointer, "f32", inner.index), typ=kind, align=4)
            inner.next = [e.b.call(add, [x, x, inner.carried[0]])]
        with e.b.if_else(e.less(outer.index, 7)) as (yes, no):
            with yes:
                e.store(e.i64(1), "i64", pointer)
            with no, e.when(e.equal(outer.index, 9)):
                e.store(e.i64(2), "i64", pointer)
        outer.next = inner.results
    e.b.store(outer.results[0], pointer, align=4)
    mask = constant(vector(I1, 4), [1, 0, 1, 0])
    e.b.store(e.b.select(mask, outer.results[0], zeros(kind)), pointer, align=4)
    e.done()
    names = [each.name for each in verified(module).functions]
    assert sorted(names) == ["llvm.fma.v4f32", "task"]


def test_a_phi_that_does_not_begin_a_block_is_refused() -> None:
    _, e = function()
    e.load("i64", e.arguments[0])
    with pytest.raises(AssertionError, match="phis begin a block"):
        e.b.phi(I64)


def test_known_integers_fold() -> None:
    _, e = function()
    assert e.add(2, 3) == 5
    assert e.mul(0, e.arguments[1]) == 0
    assert e.div(e.arguments[1], 1) is e.arguments[1]
    assert e.rem(7, 4) == 3
    assert not e.b.block.lines
