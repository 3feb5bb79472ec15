"""Where the tile unit cannot be used: the next best family serves, and plan.explain says why."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from convforge import plan, reference, runtime
from convforge.plan.split_bf16 import products as split_bf16
from convforge.plan.tile_unit import permission as amx
from convforge.problem import ConvSpec, normalize_conv
from convforge.runtime import amx as permission
from convforge.target import Target
from support.tile_unit import tile_unit


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    permission.why_tiles_refused.cache_clear()
    amx._why_wrong.cache_clear()
    yield
    permission.why_tiles_refused.cache_clear()
    amx._why_wrong.cache_clear()


def make() -> tuple[ConvSpec, Any, Any]:
    spec, _ = normalize_conv((1, 32, 6, 7), (16, 32, 3, 3), None, 2, 1, rank=2, dtype=np.dtype(np.float32))
    generator = np.random.default_rng(0)
    x, weight = (
        generator.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.weight_shape)
    )
    return spec, x, weight


def reason() -> str | None:
    spec, x, weight = make()
    found = plan.explain(spec)
    y = plan.output(spec, x, weight)
    np.testing.assert_allclose(y, reference.output(spec, x, weight), rtol=1e-4, atol=1e-4)
    return next(verdict.reason for verdict in found.verdicts if verdict.family == split_bf16.NAME)


def test_a_processor_without_it() -> None:
    with tile_unit("amx-tile"):
        assert reason() == "the processor has no amx-tile"
    with tile_unit("amx-bf16"):
        assert reason() == "the processor has no amx-bf16"


def test_a_system_that_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with tile_unit():
        monkeypatch.setattr(amx, "why_tiles_refused", lambda: "the system refuses tiles to this process")
        assert reason() == "the system refuses tiles to this process"
        assert "illegal     the system refuses tiles" in str(plan.explain(make()[0]))


def test_a_unit_that_computes_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with tile_unit():
        shapes = amx.tile_shapes_bytes
        monkeypatch.setattr(amx, "tile_shapes_bytes", lambda _: shapes([(8, 64), (8, 64), (16, 64)]))
        assert reason() == "the tile unit got 128 of 256 sums of a known product wrong"


def test_a_unit_that_can_be_used() -> None:
    with tile_unit() as unit:
        before = unit.products
        assert reason() is None
        assert before is None or unit.products > before
        assert plan.explain(make()[0]).family == split_bf16.NAME


class Answering:
    """A C library whose system calls give one answer."""

    def __init__(self, answer: int) -> None:
        self.answer, self.asked = answer, []

    def syscall(self, *numbers: Any) -> int:
        self.asked.append([number.value for number in numbers])
        return self.answer


@pytest.mark.skipif(sys.platform != "linux" or not Target.host().is_x86, reason="asks Linux on x86-64")
@pytest.mark.parametrize("answer", [0, -1])
def test_the_system_is_asked_once(answer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Answering(answer)
    monkeypatch.setattr(permission.ctypes, "CDLL", lambda *_, **__: library)
    monkeypatch.setattr(permission.ctypes, "get_errno", lambda: 95)
    for _ in range(3):
        found = runtime.why_tiles_refused()
    assert library.asked == [[158, 0x1023, 18]]
    refusal = f"the system refuses tiles to this process (arch_prctl: {os.strerror(95)})"
    assert found == (None if answer == 0 else refusal)


@pytest.mark.parametrize(
    ("system", "machine"), [("win32", "AMD64"), ("darwin", "arm64"), ("linux", "aarch64")]
)
def test_other_systems_are_not_asked(system: str, machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permission.sys, "platform", system)
    monkeypatch.setattr(permission.platform, "machine", lambda: machine)
    found = runtime.why_tiles_refused()
    assert found is not None
    assert system in found


@pytest.mark.parametrize("machine", ["avx512", "avx2"])
def test_nobody_is_asked_on_processors_without_it(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amx, "why_tiles_refused", lambda: pytest.fail("asked"))
    with tile_unit("amx-tile", *(["avx512f"] if machine == "avx2" else [])):
        assert plan.explain(make()[0]).family != split_bf16.NAME
