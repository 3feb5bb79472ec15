"""Measures what the principles say about speed, and writes `evidence_times.json`.

    python docs/hooks/measure_times.py [--threads 2]

Let nothing else run meanwhile. Both sides of each case take turns; the median of the rounds is kept.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
from pathlib import Path

from cases import CASES, Case

import convforge
from convforge import nn
from convforge.explain import advise, compare
from convforge.explain.advice import RULES
from convforge.target import Target

TIMES = Path(__file__).with_name("evidence_times.json")


def main() -> None:
    """Every rule that speaks of speed, one after the other."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--threads", type=int, default=2)
    threads = options.parse_args().threads
    convforge.set_num_threads(threads)
    found: dict[str, tuple[float, float]] = {}
    for rule in RULES.values():
        if rule.speaks_of_speed:
            before, after = measured(rule.id, CASES[rule.id])
            found[rule.id] = (float(f"{before:.4g}"), float(f"{after:.4g}"))
            print(f"{rule.id:22} {before:8.3f} ms -> {after:8.3f} ms, {after / before:.0%}")
    machine = {
        "processor": processor(),
        "features": sorted(Target.host().features),
        "threads": threads,
        "date": datetime.date.today().isoformat(),
        "version": convforge.__version__,
    }
    TIMES.write_text(json.dumps({"machine": machine, "milliseconds": found}, indent=2) + "\n", "utf-8")


def measured(rule: str, case: Case) -> tuple[float, float]:
    """Milliseconds of the case and of what stands in its place."""
    after: object = list(case.instead)
    if not case.instead:
        findings = advise(case.make(), case.input_size, small_device=case.small_device).findings
        fix = next(each.fix for each in findings if each.rule == rule)
        assert fix is not None
        after = list(fix.layers)
    # A batch norm is no layer of a stack: both sides of its case are models.
    if case.norm:
        from convforge.autograd.sampling import rand
        from convforge.explain.measure import milliseconds, module_of

        before_model, after_model = case.make(), nn.Sequential(*map(module_of, after)).eval()
        x = rand(1, *case.input_size)
        first, second = milliseconds([lambda: before_model(x), lambda: after_model(x)])
        return first, second
    compared = compare(case.make(), after, case.input_size)
    assert compared.a.milliseconds is not None
    assert compared.b.milliseconds is not None
    return compared.a.milliseconds, compared.b.milliseconds


def processor() -> str:
    """As the system calls it, or the kind of machine."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({len(names)} cores)" if names else platform.machine()


if __name__ == "__main__":
    main()
