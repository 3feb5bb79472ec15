"""One run: every library on every layer, in processes of their own, interleaved in rounds."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.contract import allowed_error
from benchmarks.layer_table import Layer
from benchmarks.limit import Machine
from benchmarks.results import Row, Timing
from benchmarks.settings import Settings
from benchmarks.worker import ORACLE
from benchmarks.worker_process import WorkerError, WorkerProcess

ROUNDS = 3
BUDGET_S = 0.25
QUICK_BUDGET_S = 0.06


class Bench:
    """The running workers, and how long each is asked to repeat a layer; a context manager that ends them."""

    def __init__(
        self, libraries: list[str], settings: Settings, limits: Machine, *, rounds: int, budget_s: float
    ) -> None:
        self.settings = settings
        self.limits = limits
        self.rounds = rounds
        self.budget_s = budget_s
        self.workers = [WorkerProcess(name, settings) for name in libraries]
        self.oracle = WorkerProcess(ORACLE, settings)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Bench:
        for worker in (*self.workers, self.oracle):
            self._stack.enter_context(worker)
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="convforge-bench-")))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def libraries(self) -> tuple[dict[str, str], list[str]]:
        """Versions, and the variants in order. A worker's first answer also waits out its import, alone."""
        versions: dict[str, str] = {}
        columns: list[str] = []
        for worker in self.workers:
            try:
                answer = worker.ask("versions")
            except WorkerError as error:
                raise SystemExit(f"{error}: is it installed? (make bench does it)") from error
            versions |= answer["versions"]
            columns += answer["columns"]
        return versions, columns

    def measure(self, layer: Layer) -> Row:
        """One row: arrays and answer from the oracle, then the libraries in turn, round after round."""
        row = self.blank_row(layer)
        what = {"layer": layer.label, "folder": str(self.folder)}
        row.plain_errors = self.oracle.ask("arrays", **what)["plain_errors"]
        allowed = [allowed_error(self.settings.precision, plain) for plain in row.plain_errors]
        row.allowed_errors = [error for error in allowed if error is not None]
        turns: list[tuple[WorkerProcess, str]] = []
        for worker in self.workers:
            with noting_failure(row, worker.name):
                answer = worker.ask("prepare", **what)
                if "unsupported" in answer:
                    row.missing[worker.name] = answer["unsupported"]
                for variant, facts in answer.get("variants", {}).items():
                    row.timings[variant] = Timing(**facts)
                    turns.append((worker, variant))
        for number in range(self.rounds):
            # Each round starts with another library, so that none always follows the same neighbour.
            start = number % max(1, len(turns))
            for worker, variant in turns[start:] + turns[:start]:
                if worker.name not in row.missing:
                    with noting_failure(row, worker.name):
                        answer = worker.ask("time", variant=variant, budget_s=self.budget_s / self.rounds)
                        row.timings[variant].samples_s += answer["samples_s"]
        for worker, variant in turns:
            if worker.name in row.missing:
                del row.timings[variant]
        return row

    def blank_row(self, layer: Layer) -> Row:
        """The layer's operations and limit; two gradients compute and move twice what an output does."""
        products = 2 if self.settings.product == "gradients" else 1
        batch, itemsize = self.settings.batch, {"float64": 8, "float32": 4}.get(self.settings.dtype, 2)
        flops, held_bytes = products * layer.flops(batch), layer.bytes(batch, itemsize)
        return Row(layer.label, flops, limit=self.limits.limit(flops, products * held_bytes, held_bytes))


@contextlib.contextmanager
def noting_failure(row: Row, library: str) -> Iterator[None]:
    """Writes a worker's failure into the row, so that one bad layer does not end the run."""
    try:
        yield
    except WorkerError as error:
        row.missing[library] = str(error)
        print(f"{row.label}: {library}: {error}", file=sys.stderr)
