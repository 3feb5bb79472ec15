"""Ratios, means and tables from made-up timings: no clock."""

from __future__ import annotations

import json
import math

import pytest
from benchmarks.results import (
    Row,
    Timing,
    as_json,
    compare,
    geometric_mean,
    peak_share,
    slower_than,
    variants_of,
    worst_error,
)
from benchmarks.settings import Settings

from benchmarks import report


def row(label, flops=10**9, **seconds):
    names = {name.replace("_", "-"): value for name, value in seconds.items()}
    return Row(label, flops, {name: Timing(1e-7, 0.01, [2 * value, value]) for name, value in names.items()})


ROWS = [
    row("net fast", convforge=1e-3, torch=2e-3, onnxruntime=1.5e-3),
    row("net slow", convforge=1e-2, torch=1e-3, onnxruntime=2e-3),
    row("net tiny", 10**6, convforge=1e-6, torch=1e-6),
]


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
    assert compare(ROWS, "best peer").highest == ("net fast", pytest.approx(1.5))
    assert compare(ROWS, "openvino") is None
    assert slower_than(ROWS, "torch", 0.4) == [("net slow", pytest.approx(0.1))]


def test_means_of_shares_leave_small_layers_out():
    assert peak_share(ROWS, "convforge", 1000) == pytest.approx(math.sqrt(1.0 * 0.1))
    assert math.isnan(geometric_mean([]))
    assert worst_error(ROWS, "torch") == 1e-7
    assert variants_of(list(reversed(ROWS))) == ["convforge", "torch", "onnxruntime"]


def test_the_table_lines_up():
    libraries = ["convforge", "torch", "onnxruntime"]
    head = report.column_heads(libraries)
    lines = [report.line(r, libraries, 1000) for r in ROWS]
    assert "torch-cl" in head
    assert all(line.index("%") < len(head) for line in lines)
    ends = {line.rindex(" ") for line in lines}
    assert ends == {head.rindex("best peer") - 1}


def test_the_summary_names_what_is_slow_and_what_failed():
    failed = row("net gone", torch=1e-3)
    failed.missing["convforge"] = "died"
    text = report.summary([*ROWS, failed], 1000)
    assert "layers under 0.4x torch: net slow 0.10x" in text
    assert "not run: net gone: convforge: died" in text
    assert "best peer" in text


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
