"""A library in a process of its own: reads requests as JSON lines on stdin, answers on stdout.

python -m benchmarks.worker LIBRARY --threads N --dtype NAME --batch N --isa NAME --precision NAME
                                    --product NAME

    {"op": "versions"}                      -> {"versions": {...}, "columns": [variant, ...]}
    {"op": "arrays", "layer", "folder"}     -> {"plain_errors": [...]}        (LIBRARY "oracle" only)
    {"op": "prepare", "layer", "folder"}    -> {"variants": {name: {...}}} or {"unsupported": why}
    {"op": "time", "variant", "budget_s"}   -> {"samples_s": [...]}

Every answer is sent after the library's threads have gone to sleep, or with "asleep": false if they do not
within two seconds. A failure is {"failure": text}.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import arrays, libraries
from benchmarks.isa import ISAS
from benchmarks.layer_table import TABLES, Layer, load_layers
from benchmarks.libraries import Prepared, UnsupportedError
from benchmarks.settings import PRECISIONS, PRODUCTS, Settings
from benchmarks.timing import sample_seconds, wait_until_idle

ORACLE = "oracle"


class Worker:
    """Holds the layer that is being measured."""

    def __init__(self, library: str, settings: Settings) -> None:
        self.settings = settings
        self.module: ModuleType | None = None if library == ORACLE else libraries.load(library)
        self.layers: dict[str, Layer] = {
            layer.label: layer for table in TABLES for layer in load_layers(table=table)
        }
        self.prepared: dict[str, Prepared] = {}
        if self.module is not None:
            self.module.start(settings)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to one request."""
        operation = request.pop("op")
        if operation == "arrays":
            layer, folder = self.layers[request["layer"]], Path(request["folder"])
            return {"plain_errors": arrays.write_arrays(folder, layer, self.settings)}
        assert self.module is not None
        if operation == "versions":
            return {"versions": self.module.versions(), "columns": self.module.columns(self.settings)}
        if operation == "prepare":
            return self.prepare(self.layers[request["layer"]], Path(request["folder"]))
        assert operation == "time"
        call = self.prepared[request["variant"]].call
        return {"samples_s": sample_seconds(call, request["budget_s"])}

    def prepare(self, layer: Layer, folder: Path) -> dict[str, Any]:
        """Builds the layer, calls it once, and compares the answer with the float64 one."""
        assert self.module is not None
        self.prepared = {}
        given = arrays.read_arrays(folder)
        facts: dict[str, Any] = {}
        try:
            if given.images < len(given.x):
                few = self.module.variants(layer, given.checked(), self.settings)
                facts = {name: first_call(prepared, given) for name, prepared in few.items()}
            self.prepared = self.module.variants(layer, given, self.settings)
        except UnsupportedError as error:
            return {"unsupported": str(error)}
        if not facts:
            facts = {name: first_call(prepared, given) for name, prepared in self.prepared.items()}
        return {"variants": facts}


def first_call(prepared: Prepared, given: arrays.Arrays) -> dict[str, Any]:
    """How long it took, and the relative error of each part of its answer."""
    start = time.perf_counter()
    result = prepared.call()
    first_call_s = time.perf_counter() - start
    pairs = zip(prepared.result(result), given.expected, strict=True)
    return {"errors": [arrays.relative_error(*pair) for pair in pairs], "first_call_s": first_call_s}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worker")
    parser.add_argument("library", choices=[ORACLE, *libraries.LIBRARIES])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--isa", choices=ISAS, default="native")
    parser.add_argument("--precision", choices=PRECISIONS, default="highest")
    parser.add_argument("--product", choices=PRODUCTS, default="output")
    options = parser.parse_args()
    # Libraries print to stdout as they like: the answers keep a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    chosen = vars(options)
    worker = Worker(chosen.pop("library"), Settings(**chosen))
    for line in sys.stdin:
        try:
            answer = worker.answer(json.loads(line))
        except Exception as error:  # told to the parent, which goes on with the next layer
            traceback.print_exc()
            answer = {"failure": f"{type(error).__name__}: {error}".splitlines()[0]}
        answer["asleep"] = wait_until_idle()
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
