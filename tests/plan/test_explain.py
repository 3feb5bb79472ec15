"""What plan.explain says, against counts made one by one."""

from __future__ import annotations

import importlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convforge
from convforge import nn, plan, runtime
from convforge.plan import fallback
from convforge.problem import ConvSpec, normalize_conv
from support.targets import masked

CASES: list[dict[str, Any]] = [
    {"shape": (2, 4, 7, 9), "weight": (6, 4, 3, 3)},
    {"shape": (1, 4, 7, 9), "weight": (6, 2, 3, 5), "padding": (2, 1), "stride": (2, 3), "groups": 2},
    {"shape": (1, 3, 5, 5), "weight": (3, 1, 3, 3), "padding": 4, "dilation": 3, "groups": 3},
    {"shape": (1, 3, 6, 5), "weight": (4, 3, 3, 3), "padding": 1, "padding_mode": "circular"},
    {"shape": (2, 3, 11), "weight": (4, 3, 4), "padding": 3, "stride": 2},
    {"shape": (1, 2, 4, 5, 6), "weight": (3, 2, 3, 1, 2), "padding": (1, 0, 1)},
    {"shape": (2, 4, 5, 6), "weight": (4, 3, 3, 4), "transposed": True, "stride": (2, 3), "padding": 1},
    {"shape": (1, 4, 5), "weight": (4, 2, 3), "transposed": True, "groups": 2, "dilation": 2},
]


@pytest.fixture(autouse=True)
def own_notes(tmp_path: Path) -> Iterator[None]:
    runtime.notes.move(tmp_path)
    yield
    runtime.notes.move(runtime.loader.disk.folder)


def spec_of(case: dict[str, Any], dtype: Any = np.float32) -> ConvSpec:
    given = dict(case)
    shape, weight = given.pop("shape"), given.pop("weight")
    spec, _ = normalize_conv(shape, weight, None, rank=len(shape) - 2, dtype=np.dtype(dtype), **given)
    return spec


def products_one_by_one(spec: ConvSpec) -> tuple[int, int]:
    """(products of a weight with data, with padding too) of one input and one output channel."""
    with_data = in_all = 0
    outer = spec.input_size if spec.transposed else spec.output_size
    inner = spec.output_size if spec.transposed else spec.input_size
    for place in itertools.product(*map(range, outer)):
        for tap in itertools.product(*map(range, spec.kernel_size)):
            at = [
                o * s - p[0] + t * d
                for o, s, p, t, d in zip(place, spec.stride, spec.padding, tap, spec.dilation, strict=True)
            ]
            inside = all(0 <= a < size for a, size in zip(at, inner, strict=True))
            with_data += inside or spec.padding_mode != "zeros"
            in_all += 1
    return with_data, in_all


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operations_and_bytes(case: dict[str, Any]) -> None:
    spec = spec_of(case)
    found = plan.explain(spec)
    channels = spec.batch * spec.in_channels * spec.out_channels // spec.groups
    with_data, in_all = products_one_by_one(spec)
    assert found.operations == 2 * channels * with_data
    assert found.operations <= found.nominal_operations
    assert spec.transposed or found.nominal_operations <= 2 * channels * in_all
    x, weight, y = (np.empty(s, spec.dtype) for s in (spec.input_shape, spec.weight_shape, spec.output_shape))
    assert (found.input_bytes, found.weight_bytes, found.output_bytes) == (x.nbytes, weight.nbytes, y.nbytes)
    assert found.moved_bytes == x.nbytes + weight.nbytes + y.nbytes
    assert found.workspace_bytes == plan.workspace_bytes(spec)


def test_every_family_has_a_verdict() -> None:
    found = plan.explain(spec_of(CASES[0]))
    assert {v.family for v in found.verdicts} >= {"depthwise", "channels", "direct"}
    for verdict in found.verdicts:
        assert (verdict.cycles is None) != (verdict.reason is None)
    assert found.family == found.verdicts[0].family
    assert found.kernel.startswith(found.family)
    assert "a group has 4 input channels, not 1" in str(found)
    assert "only family" in found.why or "cheapest of" in found.why


def test_nothing_is_measured_unless_asked() -> None:
    found = plan.explain(spec_of(CASES[0]))
    assert (found.machine, found.expected_s, found.measured_s, found.share_of_limit) == (None,) * 4
    assert "explain with measure=True" in str(found)


def test_measured() -> None:
    spec = spec_of(CASES[0])
    found = plan.explain(spec, measure=True)
    assert found.machine is not None
    assert found.measured_s is not None
    limits = (
        found.operations / found.machine.flops_per_s,
        found.moved_bytes / found.machine.bytes_per_s(found.moved_bytes),
    )
    assert (found.operations_limit_s, found.bytes_limit_s) == limits
    assert found.limit_s == max(limits)
    assert found.share_of_limit == max(limits) / found.measured_s
    assert found.expected_s is not None
    assert found.expected_s >= found.limit_s
    assert "of the limit" in str(found)
    again = plan.explain(spec)
    assert again.machine == found.machine, "limits are kept"
    assert again.measured_s is None


def test_limits_are_the_best_ever_seen() -> None:
    first = plan.explain(spec_of(CASES[0]), measure=True).machine
    second = plan.explain(spec_of(CASES[0]), measure=True).machine
    assert first is not None
    assert second is not None
    assert second.flops_per_s >= first.flops_per_s
    for (size, slow), (same, fast) in zip(first.read_bytes_per_s, second.read_bytes_per_s, strict=True):
        assert (size, slow <= fast) == (same, True)


@pytest.mark.parametrize("dtype", ["float64", "float16", "complex64", "int32"])
@pytest.mark.parametrize("mask", ["host", "sse2"])
def test_other_dtypes_and_processors(dtype: str, mask: str) -> None:
    with masked(mask):
        for case in (CASES[1], CASES[6]):
            found = plan.explain(spec_of(case, dtype), measure=True)
            assert found.input_bytes == np.empty(case["shape"], dtype).nbytes
            assert json.loads(json.dumps(found.as_dict()))["family"] == found.family


def test_as_dict_is_json_with_all_values() -> None:
    found = plan.explain(spec_of(CASES[0]), measure=True)
    read = json.loads(json.dumps(found.as_dict()))
    assert read["spec"]["dtype"] == "float32"
    assert read["operations"] == found.operations
    assert read["share_of_limit"] == found.share_of_limit
    assert read["machine"]["threads"] == found.threads
    assert [v["family"] for v in read["verdicts"]] == [v.family for v in found.verdicts]
    assert read["schedule"] is None or all(
        isinstance(value, int | bool) for value in read["schedule"].values()
    )


def test_where_there_is_nothing_to_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = plan.explain(spec_of({"shape": (0, 4, 7, 9), "weight": (6, 4, 3, 3)}), measure=True)
    assert (empty.family, empty.operations, empty.verdicts) == ("", 0, ())
    assert "nothing to compute" in str(empty)
    describing = importlib.import_module("convforge.plan.describe")  # the package's name is the function's
    monkeypatch.setattr(describing, "executable_memory_refused", lambda: True)
    refused = plan.explain(spec_of(CASES[0]), measure=True)
    assert refused.family == ""
    assert "NumPy reference" in str(refused)
    assert fallback.executable_memory_refused() is False


@pytest.mark.parametrize("given", ["shape", "list", "array", "tensor"])
def test_a_layer_explains_itself(given: str) -> None:
    layer = nn.Conv2d(4, 6, 3, padding=1, precision="high")
    x = convforge.rand(2, 4, 10, 12)
    values = {"shape": (2, 4, 10, 12), "list": [2, 4, 10, 12], "array": x.numpy(), "tensor": x}
    found = layer.explain_plan(values[given])
    assert found.spec.output_shape == (2, 6, 10, 12)
    assert found.precision == "high"
    assert (
        len({line.index(line.split(maxsplit=1)[1]) for line in str(found).splitlines() if line[0] != " "})
        == 1
    )


def test_a_layer_refuses_what_a_call_refuses() -> None:
    layer = nn.ConvTranspose2d(4, 6, 3)
    with pytest.raises(RuntimeError):
        layer.explain_plan((2, 5, 10, 12))
    with pytest.raises(TypeError):
        layer.explain_plan(("a", 4))


def test_a_convolution_of_padding_alone_is_planned_like_others() -> None:
    """It multiplies nothing, but its outputs, zeros or the bias, are written by a kernel."""
    spec, _ = normalize_conv((1, 4, 2), (8, 4, 1), None, 100, 3, rank=1, dtype=np.dtype(np.float32))
    found = plan.explain(spec)
    assert found.operations == 0
    assert found.family == found.verdicts[0].family
    assert found.kernel.startswith(found.family)
