"""Parts of a kernel: modules of their own, compiled apart, and linked to what the whole is."""

from __future__ import annotations

import ctypes
import sys

import numpy as np
import pytest

from convforge.ir.emitter import Module
from convforge.runtime.compiler import compile_object
from convforge.runtime.image import link
from convforge.runtime.loading import LINKS_ITSELF
from convforge.runtime.memory import ExecutableMemory
from convforge.target import Target

TARGET = Target.host()


def emit(module: Module) -> str:
    """task(pointer, n): pointer[i] += 3 for each i below n, by a part that adds to one."""
    e = module.function("task", "pi")
    pointer, count = e.arguments
    with e.loop(0, count, name="i") as i:
        inner, (place, more) = e.part("add", [e.at(pointer, "i64", i.index), 3])
        inner.store(inner.add(inner.load("i64", place), more), "i64", place)
        inner.done()
    e.done()
    return str(module)


def test_a_part_is_delivered_once_it_is_done_and_left_out_of_the_rest() -> None:
    delivered: list[str] = []
    rest = emit(Module(TARGET.triple, delivered.append))
    (part,) = delivered
    assert "define void @add(" in part
    assert "@task" not in part
    assert "declare void @add(" in rest
    assert "define void @task(" in rest
    whole = emit(Module(TARGET.triple))
    assert "define void @add(" in whole
    assert "define void @task(" in whole


@pytest.mark.skipif(not LINKS_ITSELF, reason="images are linked by us on x86-64 Linux alone")
def test_linked_parts_call_each_other() -> None:
    delivered: list[str] = []
    texts = [emit(Module(TARGET.triple, delivered.append)), *delivered]
    for order in (texts, texts[::-1]):
        image = link([compile_object(text, TARGET) for text in order])
        memory = ExecutableMemory(image.code)
        values = np.arange(5, dtype=np.int64)
        task = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(memory.address + image.entries["task"])
        task(values.ctypes.data, 4)
        np.testing.assert_array_equal(values, [3, 4, 5, 6, 4])


@pytest.mark.skipif(sys.platform != "linux" or not TARGET.is_x86, reason="object files are ELF on Linux")
def test_a_missing_part_is_named() -> None:
    rest = emit(Module(TARGET.triple, lambda text: None))
    with pytest.raises(RuntimeError, match="refers to add"):
        link([compile_object(rest, TARGET)])
