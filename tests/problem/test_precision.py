"""The precision setting: the process's, that of a block, and who sees which."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import convforge
from convforge.problem import Precision, precision_of
from support.torch_oracle import torch

WRONG: list[Any] = ["HIGH", "", "fp32", None, 3, True, b"high", ["high"], np.array("high")]

in_force = convforge.get_float32_matmul_precision


@pytest.fixture(autouse=True)
def setting_restored() -> Iterator[None]:
    before = in_force()
    yield
    assert in_force() in ("highest", "high", "medium")
    convforge.set_float32_matmul_precision(before)


def test_highest_at_first() -> None:
    assert in_force() == "highest"


@pytest.mark.parametrize("value", ["medium", "high", "highest", np.str_("high")])
def test_what_is_set_holds(value: Any) -> None:
    convforge.set_float32_matmul_precision(value)
    assert in_force() == value
    assert type(in_force()) is str


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_other_values_are_refused(value: Any) -> None:
    convforge.set_float32_matmul_precision("medium")
    for use in (convforge.set_float32_matmul_precision, convforge.precision):
        with pytest.raises(RuntimeError, match=r"precision \(=.*must be one of 'highest', 'high', 'medium'"):
            use(value)
    assert in_force() == "medium"


@pytest.mark.skipif(torch is None, reason="PyTorch is not installed")
def test_pytorch_has_the_same_names_and_type_of_error() -> None:
    assert torch.get_float32_matmul_precision() == "highest"
    for name in ("set_float32_matmul_precision", "get_float32_matmul_precision"):
        assert len(inspect.signature(getattr(torch, name)).parameters) == len(
            inspect.signature(getattr(convforge, name)).parameters
        )
    with pytest.raises(RuntimeError):
        torch.set_float32_matmul_precision(3)


def test_blocks_nest_and_restore() -> None:
    convforge.set_float32_matmul_precision("medium")
    with convforge.precision("high"):
        assert in_force() == "high"
        with convforge.precision("highest"):
            assert in_force() == "highest"
        assert in_force() == "high"
    assert in_force() == "medium"


def test_a_block_that_raises_restores() -> None:
    with pytest.raises(ZeroDivisionError), convforge.precision("medium"):
        raise ZeroDivisionError
    assert in_force() == "highest"


def test_one_object_may_be_entered_again_inside_itself() -> None:
    high = convforge.precision("high")
    with high, convforge.precision("medium"):
        with high:
            assert in_force() == "high"
        assert in_force() == "medium"
    assert in_force() == "highest"


def test_a_block_goes_before_what_is_set_for_the_process() -> None:
    with convforge.precision("high"):
        convforge.set_float32_matmul_precision("medium")
        assert in_force() == "high"
    assert in_force() == "medium"


def test_a_block_is_of_its_thread_alone() -> None:
    convforge.set_float32_matmul_precision("medium")
    seen: list[str] = []
    with convforge.precision("high"):
        thread = threading.Thread(target=lambda: seen.append(in_force()))
        thread.start()
        thread.join()
    assert seen == ["medium"]


def test_one_object_in_many_threads() -> None:
    high, medium = convforge.precision("high"), convforge.precision("medium")
    together = threading.Barrier(4)

    def run(outer: Any, inner: Any) -> list[str]:
        seen: list[str] = []
        for _ in range(50):
            with outer:
                together.wait()
                seen.append(in_force())
                with inner:
                    together.wait()
                    seen.append(in_force())
                seen.append(in_force())
            seen.append(in_force())
        return seen

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(run, *pair) for pair in [(high, medium), (medium, high)] * 2]
    for job, outer, inner in zip(jobs, ("high", "medium") * 2, ("medium", "high") * 2, strict=True):
        assert job.result() == [outer, inner, outer, "highest"] * 50


def test_tasks_do_not_see_each_other() -> None:
    async def task(value: Precision) -> list[str]:
        seen: list[str] = []
        with convforge.precision(value):
            for _ in range(5):
                await asyncio.sleep(0)
                seen.append(in_force())
        seen.append(in_force())
        return seen

    async def both() -> list[list[str]]:
        return await asyncio.gather(task("high"), task("medium"))

    assert asyncio.run(both()) == [["high"] * 5 + ["highest"], ["medium"] * 5 + ["highest"]]


def test_decorated_function_and_method() -> None:
    class Net:
        @convforge.precision("medium")
        def run(self, value: int) -> tuple[int, str]:
            """Say."""
            return value, in_force()

    assert Net().run(3) == (3, "medium")
    assert Net.run.__doc__ == "Say."
    assert in_force() == "highest"


def test_decorated_recursion() -> None:
    @convforge.precision("high")
    def run(depth: int) -> list[str]:
        return [in_force()] if depth == 0 else [*run(depth - 1), in_force()]

    assert run(3) == ["high"] * 4
    assert in_force() == "highest"


def test_decorated_coroutine() -> None:
    @convforge.precision("high")
    async def inner() -> str:
        await asyncio.sleep(0)
        return in_force()

    async def outer() -> tuple[str, str]:
        return await inner(), in_force()

    assert inspect.iscoroutinefunction(inner)
    assert asyncio.run(outer()) == ("high", "highest")


def test_a_decorated_generator_keeps_it_only_while_it_runs() -> None:
    closed: list[str] = []

    @convforge.precision("high")
    def steps() -> Generator[str, Any, str]:
        try:
            got = yield in_force()
            try:
                yield f"{got} {in_force()}"
            except KeyError:
                yield f"caught {in_force()}"
        finally:
            closed.append(in_force())
        return "returned"

    generator = steps()
    assert next(generator) == "high"
    assert in_force() == "highest"
    assert generator.send("sent") == "sent high"
    assert generator.throw(KeyError()) == "caught high"
    assert in_force() == "highest"
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "returned"

    stopped = steps()
    next(stopped)
    stopped.close()
    failing = steps()
    next(failing)
    with pytest.raises(ZeroDivisionError):
        failing.throw(ZeroDivisionError())
    assert closed == ["high"] * 3
    assert in_force() == "highest"


async def async_steps() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("thing", [dict, 3, async_steps])
def test_what_cannot_be_decorated(thing: Any) -> None:
    with pytest.raises(TypeError, match=r"precision\('high'\) cannot decorate"):
        convforge.precision("high")(thing)


@pytest.mark.parametrize(
    ("dtype", "own"),
    [
        *((dtype, "highest") for dtype in ("float64", "complex64", "complex128", "int8", "int64")),
        *((dtype, "high") for dtype in ("float16", ml_dtypes.bfloat16)),
    ],
)
def test_only_float32_can_be_asked_for_a_precision(dtype: Any, own: str) -> None:
    for asked in ("medium", "highest"):
        assert precision_of(np.dtype(dtype), asked) == own
        with convforge.precision(asked):
            assert precision_of(np.dtype(dtype), None) == own


@pytest.mark.parametrize("dtype", ["float32", ">f4"])
def test_float32_takes_its_own_else_the_one_in_force(dtype: str) -> None:
    assert precision_of(np.dtype(dtype), None) == "highest"
    with convforge.precision("medium"):
        assert precision_of(np.dtype(dtype), None) == "medium"
        assert precision_of(np.dtype(dtype), "high") == "high"
