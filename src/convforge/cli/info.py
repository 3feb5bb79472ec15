"""Say what is installed, what processor this is, how many threads run, and where the cache is."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform

from convforge import runtime
from convforge._version import __version__
from convforge.cli.cache import cache_lines
from convforge.target import Target

LIBRARIES = ("numpy", "llvmlite", "ml_dtypes", "pillow", "matplotlib", "tqdm", "safetensors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`convforge info` takes none."""


def run(_: argparse.Namespace) -> int:
    """Prints what a bug report needs."""
    target = Target.host()
    lines = [
        f"convforge    {__version__}",
        f"python       {platform.python_version()} on {platform.system()} {platform.machine()}",
        f"libraries    {', '.join(f'{name} {installed(name)}' for name in LIBRARIES)}",
        f"target       {target.triple}, vectors of {target.vector_bytes} bytes",
        f"features     {', '.join(sorted(target.features)) or 'none that kernels use'}",
        f"threads      {runtime.get_num_threads()}",
        *cache_lines(),
    ]
    print("\n".join(lines))
    return 0


def installed(name: str) -> str:
    """The version of a library, or "missing"."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"
