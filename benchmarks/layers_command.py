"""`python -m benchmarks layers`: every layer of the table, every library, interleaved in rounds."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import libraries, report
from benchmarks.layer_table import Layer, load_layers
from benchmarks.machine import busy_share, cores, describe_machine
from benchmarks.peak import peak_gflops_in_own_process
from benchmarks.results import OURS, Row, Timing, as_json
from benchmarks.settings import Settings
from benchmarks.worker import ORACLE
from benchmarks.worker_process import WorkerError, WorkerProcess

DTYPES = ("float32", "float64", "bfloat16", "float16")
ROUNDS = 3
BUDGET_S = 0.25
QUICK_BUDGET_S = 0.06


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--peers", default="torch,onnxruntime,openvino", help="comma-separated; '' for none")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--filter", metavar="WORDS", help="only layers whose name has one of these words")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all figures here")
    parser.add_argument("--plot", type=Path, metavar="PATH", help="write the picture here (png, svg, pdf)")
    parser.add_argument("--quick", action="store_true", help="one short round: shows that it works")
    parser.add_argument("--budget", type=float, metavar="S", help="seconds a variant and layer (0.25)")


def run(options: argparse.Namespace) -> int:
    names = [OURS, *(name for name in options.peers.split(",") if name)]
    unknown = [name for name in names if name not in libraries.LIBRARIES]
    if unknown:
        raise SystemExit(f"--peers {','.join(unknown)}: known are {', '.join(libraries.LIBRARIES)}")
    layers = load_layers(options.filter)
    settings = Settings(options.threads, options.dtype, options.batch)
    peak = peak_gflops_in_own_process(settings.threads, settings.dtype)
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        bench = Bench(
            workers=[stack.enter_context(WorkerProcess(name, settings)) for name in names],
            oracle=stack.enter_context(WorkerProcess(ORACLE, settings)),
            folder=Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="convforge-bench-"))),
            rounds=1 if options.quick else ROUNDS,
            budget_s=options.budget or (QUICK_BUDGET_S if options.quick else BUDGET_S),
        )
        versions = bench.versions()
        busy = busy_share()  # all workers are asleep now
        machine = describe_machine() | {"threads": settings.threads, "versions": versions, "busy_share": busy}
        print(report.heading(machine, peak, settings))
        print(report.column_heads(names))
        for layer in layers:
            rows.append(bench.measure(layer, layer.flops(settings.batch)))
            print(report.line(rows[-1], names, peak), flush=True)
    print(f"\n{report.summary(rows, peak)}")
    if options.json:
        facts = {"machine": machine, "peak_gflops": peak, "dtype": settings.dtype, "batch": settings.batch}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(
            json.dumps(facts | {"layers": [as_json(row) for row in rows]}, indent=1) + "\n"
        )
        print(f"wrote {options.json}")
    if options.plot:
        from benchmarks.plot import draw

        options.plot.parent.mkdir(parents=True, exist_ok=True)
        draw(rows, peak, report.conditions(machine, settings), options.plot)
        print(f"wrote {options.plot}")
    return 1 if any(OURS in row.missing for row in rows) else 0


class Bench:
    """The running workers, and how long each is asked to repeat a layer."""

    def __init__(
        self,
        *,
        workers: list[WorkerProcess],
        oracle: WorkerProcess,
        folder: Path,
        rounds: int,
        budget_s: float,
    ) -> None:
        self.workers = workers
        self.oracle = oracle
        self.folder = folder
        self.rounds = rounds
        self.budget_s = budget_s

    def versions(self) -> dict[str, str]:
        """What is measured. The first answer of a worker also waits out its import, alone."""
        found: dict[str, str] = {}
        for worker in self.workers:
            try:
                found |= worker.ask("versions")["versions"]
            except WorkerError as error:
                raise SystemExit(f"{error}: is it installed? (make bench does it)") from error
        return found

    def measure(self, layer: Layer, flops: int) -> Row:
        """One row: arrays and answer from the oracle, then the libraries in turn, round after round."""
        row = Row(layer.label, flops)
        what = {"layer": layer.label, "folder": str(self.folder)}
        self.oracle.ask("arrays", **what)
        turns: list[tuple[WorkerProcess, str]] = []
        for worker in self.workers:
            with noting_failure(row, worker.library):
                answer = worker.ask("prepare", **what)
                if "unsupported" in answer:
                    row.missing[worker.library] = answer["unsupported"]
                for variant, facts in answer.get("variants", {}).items():
                    row.timings[variant] = Timing(**facts)
                    turns.append((worker, variant))
        for number in range(self.rounds):
            # Each round starts with another library, so that none always follows the same neighbour.
            start = number % max(1, len(turns))
            for worker, variant in turns[start:] + turns[:start]:
                if worker.library not in row.missing:
                    with noting_failure(row, worker.library):
                        answer = worker.ask("time", variant=variant, budget_s=self.budget_s / self.rounds)
                        row.timings[variant].samples_s += answer["samples_s"]
        for worker, variant in turns:
            if worker.library in row.missing:
                del row.timings[variant]
        return row


@contextlib.contextmanager
def noting_failure(row: Row, library: str) -> Iterator[None]:
    """Writes a worker's failure into the row, so that one bad layer does not end the run."""
    try:
        yield
    except WorkerError as error:
        row.missing[library] = str(error)
        print(f"{row.label}: {library}: {error}", file=sys.stderr)
