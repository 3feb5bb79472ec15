"""The parent's end of a worker: start it, ask it, and start it again if it dies."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from benchmarks.isa import environment
from benchmarks.settings import Settings


class WorkerError(Exception):
    """The library failed on a request, or its process died."""


class WorkerProcess:
    """One long-lived `python -m benchmarks.worker`; a context manager that ends it."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Sends one request and waits for its answer.

        Raises WorkerError where the library failed; the next call starts a fresh process if this one died.
        """
        process = self.process or self.start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            print(json.dumps({"op": operation, **arguments}), file=process.stdin, flush=True)
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            status = self.end(process)
            raise WorkerError(f"the process of {self.name} died with status {status}")
        answer = json.loads(line)
        if not answer.pop("asleep"):
            print(f"{self.name}: its threads do not sleep and disturb the next library", file=sys.stderr)
        if "failure" in answer:
            raise WorkerError(answer["failure"])
        return answer

    def start(self) -> subprocess.Popen[str]:
        """Starts the process; the library is imported while this returns."""
        flags = [f"--{key}={value}" for key, value in asdict(self.settings).items()]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", self.name, *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | environment(self.settings.isa),
        )
        return self.process

    def close(self) -> None:
        """Ends the process, if there is one, by closing its input."""
        if self.process is not None:
            self.end(self.process)

    def end(self, process: subprocess.Popen[str]) -> int:
        """Closes the pipes and waits; the exit status."""
        self.process = None
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it died with a request unread
            process.stdin.close()
        try:
            status = process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        process.stdout.close()
        return status
