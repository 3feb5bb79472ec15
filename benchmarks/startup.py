"""`python -m benchmarks startup`: the import, a layer's first call, and the first call from the disk cache.

Every figure is the median of processes of their own. `import convforge` counts from the first statement of a
running interpreter; the interpreter's own start is not part of it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NOT_IMPORTED = ("llvmlite", "PIL", "matplotlib", "tqdm", "sklearn", "torch")

IMPORT = """
import json, sys, time
start = time.perf_counter()
import numpy
numpy_s = time.perf_counter() - start
import convforge
total_s = time.perf_counter() - start
print(json.dumps({"numpy_s": numpy_s, "total_s": total_s, "modules": list(sys.modules)}))
"""

FIRST_CALL = """
import json, sys, time
import convforge
from convforge import nn, runtime
runtime.set_cache_dir(sys.argv[1])
convforge.set_num_threads(int(sys.argv[2]))
name, arguments, keywords, shape = json.loads(sys.argv[3])
layer = getattr(nn, name)(*arguments, **keywords)
x = convforge.randn(*shape)
with convforge.no_grad():
    start = time.perf_counter()
    layer(x)
    first_s = time.perf_counter() - start
    start = time.perf_counter()
    layer(x)
    second_s = time.perf_counter() - start
print(json.dumps({"first_s": first_s, "second_s": second_s}))
"""

LAYERS = [
    ("Conv2d", [64, 64, 3], {"padding": 1}, (1, 64, 56, 56)),
    ("Conv2d", [256, 64, 1], {}, (1, 256, 56, 56)),
    ("Conv2d", [144, 144, 3], {"padding": 1, "groups": 144}, (1, 144, 56, 56)),
    ("Conv1d", [64, 128, 2], {"dilation": 512}, (1, 64, 16000)),
    ("Conv3d", [32, 64, 3], {"padding": 1}, (1, 32, 32, 32, 32)),
    ("ConvTranspose2d", [128, 64, 2], {"stride": 2}, (1, 128, 128, 128)),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--processes", type=int, default=5, help="processes behind each median (5)")
    parser.add_argument("--quick", action="store_true", help="one process, two layers")


def run(options: argparse.Namespace) -> int:
    """Prints the tables; exit status 1 where the import loads what it must not."""
    processes = 1 if options.quick else options.processes
    loaded = print_import(processes)
    print(f"\n{'first call, medians':<46}{'empty cache':>13}{'disk cache':>13}{'second call':>13}")
    for layer in LAYERS[:2] if options.quick else LAYERS:
        name, arguments, keywords, _ = layer
        words = [*map(str, arguments), *(f"{key}={value}" for key, value in keywords.items())]
        text = f"{name}({', '.join(words)})"
        new, kept, warm = first_calls(json.dumps(layer), options.threads, processes)
        print(f"{text:<46}{new * 1e3:>10.1f} ms{kept * 1e3:>10.1f} ms{warm * 1e3:>10.2f} ms")
    print_uncached(processes, options.threads)
    return 1 if loaded else 0


def print_import(processes: int) -> list[str]:
    """Prints the import's time; returns what it loaded though it must not."""
    runs = [run_program(IMPORT) for _ in range(processes + 1)][1:]  # the first writes the bytecode
    total_s = statistics.median(facts["total_s"] for facts in runs)
    numpy_s = statistics.median(facts["numpy_s"] for facts in runs)
    loaded = sorted(set(NOT_IMPORTED).intersection(runs[0]["modules"]))
    print(f"import convforge: {total_s * 1e3:.0f} ms, of which NumPy {numpy_s * 1e3:.0f} ms")
    print(
        f"imported with it, though it must not be: {', '.join(loaded) or 'none'} (of "
        f"{', '.join(NOT_IMPORTED)})"
    )
    return loaded


def first_calls(layer: str, threads: int, processes: int) -> tuple[float, float, float]:
    """Median seconds of the first call with an empty cache, from the disk cache, and of the call after it."""
    new_s: list[float] = []
    kept_s: list[float] = []
    warm_s: list[float] = []
    for _ in range(processes):
        with tempfile.TemporaryDirectory(prefix="convforge-bench-") as folder:
            arguments = (folder, str(threads), layer)
            new_s.append(run_program(FIRST_CALL, *arguments)["first_s"])
            facts = run_program(FIRST_CALL, *arguments)
            kept_s.append(facts["first_s"])
            warm_s.append(facts["second_s"])
    return statistics.median(new_s), statistics.median(kept_s), statistics.median(warm_s)


def print_uncached(processes: int, threads: int) -> None:
    """Prints the first call with an empty cache folder where llvmlite's library has to come from the disk."""
    files = compiler_files()
    size = sum(path.stat().st_size for path in files) / 1e6
    what = f"the first of these with llvmlite's files ({size:.0f} MB) out of the page cache"
    if not hasattr(os, "posix_fadvise"):
        print(f"{what}: not measured, this system has no posix_fadvise")
        return
    seconds: list[float] = []
    for _ in range(processes):
        drop_from_page_cache(files)
        with tempfile.TemporaryDirectory(prefix="convforge-bench-") as folder:
            seconds.append(run_program(FIRST_CALL, folder, str(threads), json.dumps(LAYERS[0]))["first_s"])
    print(f"{what}: {statistics.median(seconds) * 1e3:.1f} ms")


def compiler_files() -> list[Path]:
    """llvmlite's files, found without loading them: a library that a process has mapped stays in memory."""
    found = find_spec("llvmlite")
    assert found is not None
    assert found.origin is not None
    return [path for path in Path(found.origin).parent.rglob("*") if path.is_file()]


def drop_from_page_cache(files: list[Path]) -> None:
    """Asks the system to forget the files' pages; it keeps those that a running process has mapped."""
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())  # pages that are not on the disk yet would stay
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run_program(program: str, *arguments: str) -> dict[str, Any]:
    """The JSON that a program prints in a fresh interpreter, which keeps bytecode as installed ones do."""
    command = [sys.executable, "-c", program, *arguments]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=variables)
    return json.loads(done.stdout)
