"""`python -m benchmarks layers`: every layer of the table, every library, interleaved in rounds."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from benchmarks import libraries, report
from benchmarks.bandwidth import levels_in_own_process
from benchmarks.bench import BUDGET_S, QUICK_BUDGET_S, ROUNDS, Bench
from benchmarks.isa import ISAS, why_impossible, why_not_held
from benchmarks.layer_table import TABLES, load_layers
from benchmarks.limit import Machine
from benchmarks.machine import busy_share, cores, describe_machine
from benchmarks.peak import peak_gflops_in_own_process
from benchmarks.results import OURS, Row, as_json
from benchmarks.settings import PRECISIONS, Settings

DTYPES = ("float32", "float64", "bfloat16", "float16")


def add_arguments(
    parser: argparse.ArgumentParser, *, peers: str = "torch,onnxruntime,openvino", batch: int = 1
) -> None:
    parser.add_argument("--peers", default=peers, help=f"comma-separated; '' for none ({peers})")
    parser.add_argument(
        "--threads", type=counts, default=[cores()], metavar="N[,N]", help="one run for each number"
    )
    parser.add_argument("--batch", type=int, default=batch, help=f"({batch})")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--isa", choices=ISAS, default="native", help="hold every library to this")
    parser.add_argument("--precision", choices=PRECISIONS, default="highest", help="convforge's setting")
    parser.add_argument("--table", choices=TABLES, default=TABLES[0], help=f"({TABLES[0]})")
    parser.add_argument("--filter", metavar="WORDS", help="only layers whose name has one of these words")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all figures here")
    parser.add_argument("--plot", type=Path, metavar="PATH", help="write the picture here (png, svg, pdf)")
    parser.add_argument("--quick", action="store_true", help="one short round: shows that it works")
    parser.add_argument("--budget", type=float, metavar="S", help="seconds a variant and layer (0.25)")


def counts(text: str) -> list[int]:
    """ "2,1" -> [2, 1]"""
    return [int(word) for word in text.split(",")]


def run(options: argparse.Namespace) -> int:
    """Prints a table for each number of threads; exit status 1 where we failed or broke the contract."""
    return status([row for rows in measure(options, "output").values() for row in rows])


def status(rows: list[Row]) -> int:
    """1 where a layer of ours failed or is further from float64 than its precision promises."""
    return int(any(OURS in row.missing or row.breaks_contract for row in rows))


def measure(options: argparse.Namespace, product: str) -> dict[int, list[Row]]:
    """Measures and prints a product ("output" or "gradients"); the rows by number of threads."""
    names = [OURS, *(name for name in options.peers.split(",") if name)]
    unknown = [name for name in names if name not in libraries.LIBRARIES]
    if unknown:
        raise SystemExit(f"--peers {','.join(unknown)}: known are {', '.join(libraries.LIBRARIES)}")
    features = host_features()
    reason = why_impossible(options.isa, features)
    if reason:
        raise SystemExit(reason)
    left_out = {name: why for name in names if (why := why_not_held(name, options.isa, features))}
    names = [name for name in names if name not in left_out]
    tables: dict[int, list[Row]] = {}
    for threads in options.threads:
        settings = Settings(threads, options.dtype, options.batch, options.isa, options.precision, product)
        tables[threads] = measure_table(options, settings, names, left_out)
    return tables


def measure_table(
    options: argparse.Namespace, settings: Settings, names: list[str], left_out: dict[str, str]
) -> list[Row]:
    """Measures and prints the layers that are asked for, and writes the files that are."""
    layers = load_layers(options.filter, options.table)
    peak = peak_gflops_in_own_process(settings.threads, settings.dtype, settings.isa)
    limits = Machine(peak, levels_in_own_process(settings.threads, settings.isa))
    rows: list[Row] = []
    budget_s = options.budget or (QUICK_BUDGET_S if options.quick else BUDGET_S)
    rounds = 1 if options.quick else ROUNDS
    with Bench(names, settings, limits, rounds=rounds, budget_s=budget_s) as bench:
        versions, columns = bench.libraries()
        busy = busy_share()  # all workers are asleep now
        machine = describe_machine() | {
            "threads": settings.threads,
            "versions": versions,
            "busy_share": busy,
            "left_out": left_out,
            "limits": limits.describe(),
        }
        print(report.heading(machine, settings))
        print(report.column_heads(columns))
        for layer in layers:
            rows.append(bench.measure(layer))
            print(report.line(rows[-1], columns, peak), flush=True)
    print(f"\n{report.summary(rows, peak)}\n")
    # Several runs would overwrite one another's files.
    suffix = f"-threads{settings.threads}" if len(options.threads) > 1 else ""
    if options.json:
        path = make_place(options.json, suffix)
        facts = {"machine": machine, "limits": asdict(limits), "settings": asdict(settings)}
        path.write_text(json.dumps(facts | {"layers": [as_json(row) for row in rows]}, indent=1) + "\n")
        print(f"wrote {path}")
    if options.plot:
        from benchmarks.plot import draw

        path = make_place(options.plot, suffix)
        draw(rows, peak, report.conditions(machine, settings), path)
        print(f"wrote {path}")
    return rows


def make_place(path: Path, suffix: str) -> Path:
    """The path with a suffix to its name, in a folder that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f"{path.stem}{suffix}{path.suffix}")


def host_features() -> frozenset[str]:
    """What this processor has, by LLVM's names."""
    from convforge.target import Target

    return Target.host().features
