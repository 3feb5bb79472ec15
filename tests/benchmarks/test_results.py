"""Ratios, means and tables from made-up timings: no clock."""

from __future__ import annotations

import json
import math

import pytest
from benchmarks.limit import Level, Limit, Machine
from benchmarks.results import (
    Row,
    Timing,
    as_json,
    compare,
    geometric_mean,
    limit_share,
    peak_share,
    slower_than,
    variants_of,
    worst_error,
)
from benchmarks.settings import Settings

from benchmarks import report


def row(label, flops=10**9, **seconds):
    names = {name.replace("_", "-"): value for name, value in seconds.items()}
    return Row(
        label, flops, {name: Timing([1e-7], 0.01, [2 * value, value]) for name, value in names.items()}
    )


ROWS = [
    row("net fast", convforge=1e-3, torch=2e-3, onnxruntime=1.5e-3),
    row("net slow", convforge=1e-2, torch=1e-3, onnxruntime=2e-3),
    row("net tiny", 10**6, convforge=1e-6, torch=1e-6),
]

MACHINE = Machine(
    100.0,
    (
        Level("2", "second-level caches", 1000, 200.0),
        Level("L", "last-level cache", 5000, 80.0),
        Level("M", "memory", None, 20.0),
    ),
)


def test_speeds():
    assert [r.speed_against("torch") for r in ROWS] == pytest.approx([2, 0.1, 1])
    assert [r.best_peer() for r in ROWS] == ["onnxruntime", "torch", "torch"]
    assert ROWS[2].speed_against("onnxruntime") is None
    assert row("net alone", convforge=1).best_peer() is None


def test_comparison():
    found = compare(ROWS, "torch")
    assert found.geometric_mean == pytest.approx(0.2 ** (1 / 3))
    assert found.lowest == ("net slow", pytest.approx(0.1))
    assert found.highest == ("net fast", pytest.approx(2))
    assert (found.layers, found.wins) == (3, 2)
    assert compare(ROWS, "best fp32 peer").highest == ("net fast", pytest.approx(1.5))
    assert compare(ROWS, "openvino") is None
    assert slower_than(ROWS, "torch", 0.4) == [("net slow", pytest.approx(0.1))]


def test_means_of_shares_leave_small_layers_out():
    assert peak_share(ROWS, "convforge", 1000) == pytest.approx(math.sqrt(1.0 * 0.1))
    assert math.isnan(geometric_mean([]))
    assert worst_error(ROWS, "torch") == 1e-7
    assert variants_of(list(reversed(ROWS))) == ["convforge", "torch", "onnxruntime"]


def test_the_table_lines_up():
    columns = ["convforge", "torch", "torch-cl", "onnxruntime"]
    head = report.column_heads(columns)
    lines = [report.line(r, columns, 1000) for r in ROWS]
    assert all(line.index("%") < len(head) for line in lines)
    ends = {line.rindex(" ") for line in lines}
    assert ends == {head.rindex("best peer") - 1}


def test_the_summary_names_what_is_slow_and_what_failed():
    failed = row("net gone", torch=1e-3)
    failed.missing["convforge"] = "died"
    text = report.summary([*ROWS, failed], 1000)
    assert "layers under 0.4x torch: net slow 0.10x" in text
    assert "not run: net gone: convforge: died" in text
    assert "best fp32 peer" in text


def test_a_bf16_peer_is_compared_but_never_the_best_of_fp32():
    both = row("net layer", convforge=1e-3, openvino=2e-3, openvino_bf16=5e-4)
    assert both.best_peer() == "openvino"
    assert compare([both], "openvino-bf16").geometric_mean == pytest.approx(0.5)


def test_an_error_above_the_contract_marks_its_row():
    kept, broken = row("net kept", convforge=1e-3), row("net broken", convforge=1e-3)
    kept.timings["convforge"].errors = [1e-7, 4e-7]
    kept.allowed_errors = [2e-7, 5e-7]
    broken.timings["convforge"].errors = [1e-7, math.inf]
    broken.allowed_errors = [2e-7, 5e-7]
    assert (kept.breaks_contract, broken.breaks_contract, ROWS[0].breaks_contract) == (False, True, False)
    assert kept.worst_part() == (4e-7, 5e-7)
    assert "4.0e-07  5.0e-07" in report.line(kept, ["convforge"], 1000)
    assert "inf! 5.0e-07" in report.line(broken, ["convforge"], 1000)
    assert "above the allowed one: net broken" in report.summary([kept, broken], 1000)


def test_a_number_that_is_not_one_breaks_the_contract():
    broken = row("net nan", convforge=1e-3)
    broken.timings["convforge"].errors, broken.allowed_errors = [math.nan], [1e-5]
    assert broken.breaks_contract


def test_the_share_of_the_limit():
    measured = row("net layer", convforge=1e-3, torch=2e-3)
    measured.limit = Limit(8e-4, "L")
    assert measured.limit_share("torch") == pytest.approx(0.4)
    assert limit_share([measured, *ROWS], "convforge") == pytest.approx(0.8)
    assert " 80% L " in report.line(measured, ["convforge"], 1000)
    assert math.isnan(limit_share(ROWS, "convforge"))


@pytest.mark.parametrize("product", ["output", "gradients"])
@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_the_heading_explains_every_column(product, precision):
    machine = {
        "processor": "x",
        "versions": {"convforge": "1"},
        "busy_share": 0.5,
        "left_out": {"onnxruntime": "no switch"},
        "limits": MACHINE.describe(),
    }
    text = report.heading(machine, Settings(1, "float32", 16, "avx2", precision, product))
    assert "held to avx2" in text
    assert "left out: onnxruntime: no switch" in text
    assert "WARNING: other programs use 50%" in text
    assert "last-level cache (L) 80" in text
    assert "errors are of 2 images" in text
    for word in ("limit:", "error:", "allowed:", "/torch, /best:"):
        assert word in text


def test_the_limit_is_the_larger_of_arithmetic_and_bytes():
    assert MACHINE.limit(10**9, 1000, 1000) == Limit(1e-2, "a")
    assert MACHINE.limit(0, 2000, 1000) == Limit(2000 / 200e9, "2")
    assert MACHINE.limit(0, 4000, 2000) == Limit(4000 / 80e9, "L")
    assert MACHINE.limit(0, 9000, 9000) == Limit(9000 / 20e9, "M")


def test_json_has_every_figure():
    facts = json.loads(json.dumps(as_json(ROWS[0])))
    assert facts["speed_against_torch"] == pytest.approx(2)
    assert facts["variants"]["convforge"]["min_s"] == 1e-3
    assert facts["variants"]["convforge"]["median_s"] == 1.5e-3
    assert facts["variants"]["convforge"]["gflops"] == pytest.approx(1000)


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_plot(tmp_path, suffix):
    pytest.importorskip("matplotlib")
    from benchmarks.plot import draw

    draw(
        ROWS, 1000, report.conditions({"processor": "x"}, Settings(2, "float32", 1)), tmp_path / f"p.{suffix}"
    )
    assert (tmp_path / f"p.{suffix}").stat().st_size > 5000
