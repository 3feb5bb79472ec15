"""Goals beside made-up times: no clock."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from benchmarks.limit import Limit
from benchmarks.results import Row, Timing

from benchmarks import layers_command, numbers


def row(label, ours, theirs):
    timings = {"convforge": Timing([1e-7], 0.01, [ours]), "torch": Timing([1e-7], 0.01, [theirs])}
    return Row(label, 10**9, timings, limit=Limit(1e-3, "a"))


def test_what_is_below_its_goal_is_marked():
    text = numbers.summary({numbers.HIGHEST: [row("net a", 2e-3, 6e-3), row("net b", 2e-3, 1e-3)]}, 2)
    lines = {line[:46].strip(): line[46:].split() for line in text.splitlines()}
    assert lines["highest, best fp32 peer"] == ["1.22!", "1.50", "0.50!", "0.90", "net", "b"]
    assert lines["AVX2, highest, PyTorch's better layout"][-3:] == ["not", "measured", "here"]
    assert lines["share of the limit, highest"] == ["50%!", "70%"]
    assert "errors above the contract: none" in text


def test_goals_that_are_reached_have_no_mark():
    text = numbers.summary({numbers.GRADIENTS: [row("net a", 1e-3, 6e-3)]}, 1)
    assert "at 1 thread (" in text
    (line,) = (line for line in text.splitlines() if line.startswith("gradients"))
    assert "!" not in line


def test_each_run_asks_layers_for_what_it_is(monkeypatch, capsys):
    asked = []

    def measure(options, product):
        asked.append((product, options.isa, options.precision, options.batch, options.json))
        return {threads: [row("net a", 1e-3, 2e-3)] for threads in options.threads}

    monkeypatch.setattr(layers_command, "measure", measure)
    monkeypatch.setattr(numbers, "host_features", lambda: frozenset({"avx2"}))
    options = Namespace(threads=[2, 1], json=Path("out/all.json"), filter=None, quick=True, budget=None)
    assert numbers.run(options) == 0
    assert (
        "gradients",
        "native",
        "highest",
        16,
        Path("out/all-gradients-highest-native-batch16.json"),
    ) in asked
    assert {isa for _, isa, *_ in asked} == {"native", "avx2"}
    printed = capsys.readouterr().out
    assert "--isa avx512: this processor has no avx512f" in printed
    assert printed.count("share of the limit, highest") == 2


def test_a_broken_contract_sets_the_exit_status():
    broken = row("net a", 1e-3, 2e-3)
    assert layers_command.status([broken]) == 0
    broken.allowed_errors = [1e-8]
    assert layers_command.status([broken]) == 1
    assert "net a (output-highest-native-batch1)" in numbers.summary({numbers.HIGHEST: [broken]}, 2)
