"""`python -m benchmarks memory`: bytes beyond input, output and packed weights, as the plan reports them."""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.arrays import layer_spec
from benchmarks.layer_table import TABLES, load_layers
from benchmarks.machine import cores
from benchmarks.settings import PRECISIONS

LIMIT_BYTES = 16 * 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--precision", choices=PRECISIONS, default="highest")
    parser.add_argument("--table", choices=TABLES, default=TABLES[0])
    parser.add_argument("--filter", metavar="WORDS", help="only layers whose name has one of these words")


def run(options: argparse.Namespace) -> int:
    """Prints a line a layer; exit status 1 where one asks for more than 16 MB a thread."""
    from convforge import plan, runtime

    runtime.set_num_threads(options.threads)

    print(f"{'layer':<34}{'input':>10}{'output':>10}{'weight':>10}{'a thread':>11}{'all':>10}  MB")
    over: list[str] = []
    for layer in load_layers(options.filter, options.table):
        spec = layer_spec(layer, options.batch, np.dtype(np.float32))
        workspace = plan.workspace_bytes(spec, precision=options.precision)
        sizes = [
            4 * int(np.prod(shape)) for shape in (spec.input_shape, spec.output_shape, spec.weight_shape)
        ]
        cells = "".join(f"{size / 2**20:>10.2f}" for size in sizes)
        print(
            f"{layer.label:<34}{cells}{workspace / 2**20:>11.3f}{workspace * options.threads / 2**20:>10.3f}"
        )
        if workspace > LIMIT_BYTES:
            over.append(layer.label)
    print(f"more than {LIMIT_BYTES // 2**20} MB a thread: {', '.join(over) or 'none'}")
    return 1 if over else 0
