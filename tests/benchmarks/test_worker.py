"""The workers' protocol: answers, failures, death and restart; the peak's loop; sampling without luck."""

from __future__ import annotations

from dataclasses import replace

import pytest
from benchmarks.layer_table import load_layers
from benchmarks.results import Row
from benchmarks.settings import Settings
from benchmarks.worker import Worker
from benchmarks.worker_process import WorkerError, WorkerProcess

import convforge
from benchmarks import arrays, isa, peak, timing
from convforge.target import Target

LAYER = load_layers("tcn k7_c25_d1")[0]
SETTINGS = Settings(threads=1, dtype="float32", batch=1)


def test_a_worker_measures_a_layer(tmp_path):
    pytest.importorskip("torch")
    what = {"layer": LAYER.label, "folder": str(tmp_path)}
    with WorkerProcess("oracle", SETTINGS) as oracle, WorkerProcess("torch", SETTINGS) as worker:
        (plain,) = oracle.ask("arrays", **what)["plain_errors"]
        assert 1e-8 < plain < 1e-6
        answer = worker.ask("versions")
        assert "torch" in answer["versions"]
        assert answer["columns"] == ["torch", "torch-cl"]
        facts = worker.ask("prepare", **what)["variants"]["torch"]
        assert facts["errors"][0] < 1e-6
        assert len(worker.ask("time", variant="torch", budget_s=0.001)["samples_s"]) >= 3


@pytest.mark.parametrize("library", ["convforge", "torch"])
@pytest.mark.parametrize("name", ["tcn k7_c25_d1", "dcgan g5_64_3"])
def test_a_worker_measures_gradients(tmp_path, library, name):
    if library == "torch":
        pytest.importorskip("torch")
    what = {"layer": load_layers(name)[0].label, "folder": str(tmp_path)}
    settings = replace(SETTINGS, batch=3, product="gradients")
    with WorkerProcess("oracle", settings) as oracle, WorkerProcess(library, settings) as worker:
        plain = oracle.ask("arrays", **what)["plain_errors"]
        for facts in worker.ask("prepare", **what)["variants"].values():
            assert len(facts["errors"]) == 2
            assert all(error <= 2 * limit for error, limit in zip(facts["errors"], plain, strict=True))
        assert len(worker.ask("time", variant=library, budget_s=0.001)["samples_s"]) >= 3


def test_a_worker_is_held_to_an_instruction_set(tmp_path):
    features = Target.host().features
    if not isa.hidden("avx2", features):
        pytest.skip("the processor has nothing above AVX2")
    settings = replace(SETTINGS, isa="avx2")
    what = {"layer": LAYER.label, "folder": str(tmp_path)}
    with WorkerProcess("oracle", settings) as oracle, WorkerProcess("convforge", settings) as worker:
        oracle.ask("arrays", **what)
        assert worker.ask("prepare", **what)["variants"]["convforge"]["errors"][0] < 1e-6


def test_large_batches_are_checked_on_two_images(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "CHECKED_FLOPS", 1.0)
    settings = replace(SETTINGS, batch=3)
    arrays.write_arrays(tmp_path, LAYER, settings)
    given = arrays.read_arrays(tmp_path)
    assert (len(given.x), given.images, len(given.checked().x)) == (3, 2, 2)
    threads = convforge.get_num_threads()
    worker = Worker("convforge", settings)
    try:
        facts = worker.prepare(LAYER, tmp_path)["variants"]["convforge"]
    finally:
        convforge.set_grad_enabled(True)
        convforge.set_num_threads(threads)
    assert facts["errors"][0] < 1e-6
    assert worker.prepared["convforge"].call().shape[0] == 3


def test_a_failure_is_told_and_the_worker_goes_on(tmp_path, capfd):
    with WorkerProcess("oracle", SETTINGS) as oracle:
        with pytest.raises(WorkerError, match="FileNotFoundError"):
            oracle.ask("arrays", layer=LAYER.label, folder=str(tmp_path / "absent"))
        assert "plain_errors" in oracle.ask("arrays", layer=LAYER.label, folder=str(tmp_path))
    assert "Traceback" in capfd.readouterr().err


def test_a_worker_that_died_is_started_again(tmp_path):
    with WorkerProcess("oracle", SETTINGS) as oracle:
        oracle.ask("arrays", layer=LAYER.label, folder=str(tmp_path))
        oracle.process.kill()
        with pytest.raises(WorkerError, match="died with status"):
            oracle.ask("arrays", layer=LAYER.label, folder=str(tmp_path))
        assert "plain_errors" in oracle.ask("arrays", layer=LAYER.label, folder=str(tmp_path))


def test_a_layer_that_fails_is_noted_in_its_row(capsys):
    from benchmarks.bench import noting_failure

    row = Row("net layer", 1)
    with noting_failure(row, "torch"):
        raise WorkerError("no memory")
    assert row.missing == {"torch": "no memory"}
    assert "net layer: torch: no memory" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("bits", [128, 256, 512])
def test_the_peaks_loop_is_valid_and_its_multiply_adds_are_counted(kind, bits):
    lanes = bits // int(kind[-2:])
    text = peak.emit_peak("peak", lanes, kind)
    assert text.count("llvm.fma") == peak.ACCUMULATORS + 1  # and its declaration
    from llvmlite import binding

    binding.initialize_native_target()
    binding.parse_assembly(text).verify()


def test_vector_widths():
    assert peak.vector_bits({"avx512f": True, "fma": True}) == 512
    assert peak.vector_bits({"fma": True}) == 256
    assert peak.vector_bits({}) == 128


def test_short_calls_are_timed_several_at_a_time(monkeypatch):
    now = [0.0]
    calls = [0]

    def call():
        now[0] += 10e-6
        calls[0] += 1

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    samples = timing.sample_seconds(call, budget_s=1e-3)
    assert samples == pytest.approx([10e-6] * 10)
    assert calls[0] == 1 + 10 * 10


def test_long_calls_are_repeated_three_times(monkeypatch):
    now = [0.0]

    def call():
        now[0] += 2.0

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    assert timing.sample_seconds(call, budget_s=1e-3) == [2.0, 2.0, 2.0]
