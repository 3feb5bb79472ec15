"""The arrows of the design: imports go down only, and each outside library has its room."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "convforge"

# A room may import itself and every room of a lower level. Rooms of one level do not know each other.
LEVELS = {
    "_version": 0,
    "errors": 0,
    "memory": 0,
    "problem": 1,
    "reference": 2,
    "target": 3,
    "ir": 4,
    "runtime": 5,  # above ir: the thread pool is emitted code too
    "schedule": 6,
    "kernels": 7,
    "plan": 8,
    "autograd": 9,
    "nn": 10,
    "optim": 10,
    "explain": 11,
    "draw": 12,
    "web": 13,
    "cli": 14,
}

# Where a library may be imported at the top of a file, and where only inside a function.
ANYWHERE = frozenset(LEVELS) | {"__init__", "__main__"}
AT_THE_TOP = {
    "numpy": ANYWHERE,
    "ml_dtypes": ANYWHERE,
    "llvmlite.binding": {"runtime", "target"},
}
INSIDE_FUNCTIONS = {
    **AT_THE_TOP,
    "llvmlite": {"runtime"},
    "PIL": {"cli", "draw", "web"},
    "matplotlib": {"cli", "draw"},
    "vl_convert": {"draw"},
    "tqdm": {"cli"},
    "safetensors": {"cli", "nn"},
}
# Nothing of these may be loaded by `import convforge`.
NOT_AT_START = (
    "llvmlite",
    "PIL",
    "matplotlib",
    "tqdm",
    "sklearn",
    "scipy",
    "torch",
    "safetensors",
    "vl_convert",
)


def room_of(path: Path) -> str:
    """`src/convforge/nn/conv.py` -> nn; `src/convforge/errors.py` -> errors."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path, source: str) -> Iterator[tuple[int, str, bool]]:
    """(line, dotted name, whether inside a function) of every import, relative ones made absolute.

    `from a.b import c` gives a.b.c: c may be a module.
    """
    package = ("convforge", *path.relative_to(PACKAGE).parent.parts)

    def visit(node: ast.AST, inside: bool) -> Iterator[tuple[int, str, bool]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, inside
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *((node.module,) if node.module else ())))
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}", inside
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(ast.parse(source), False)


def why_outside(room: str, name: str, inside: bool) -> str | None:
    """The rule that an import of a library breaks, or None."""
    if name.partition(".")[0] in sys.stdlib_module_names:
        return None
    rules = INSIDE_FUNCTIONS if inside else AT_THE_TOP
    for library, rooms in rules.items():
        if room in rooms and (name == library or name.startswith(f"{library}.")):
            return None
    return f"{room} may not import {name} {'inside a function' if inside else 'at the top of a file'}"


def why_inside(room: str, name: str) -> str | None:
    """The rule that an import of one of our rooms breaks, or None."""
    other = name.split(".")[1] if "." in name else ""
    if room == "__init__":  # the public names: lazy, which the fresh process below shows
        return None
    if other not in LEVELS:
        public = f"{room} imports the public namespace ({name}), which is above it"
        return None if room in ("cli", "__main__") else public
    if room in ("__main__", other) or LEVELS[other] < LEVELS[room]:
        return None
    return f"{room} imports {name}: arrows go down only"


def violations(path: Path, source: str) -> list[str]:
    """What the imports of one file break."""
    room = room_of(path)
    found = []
    for line, name, inside in imports(path, source):
        ours = name == "convforge" or name.startswith("convforge.")
        reason = why_inside(room, name) if ours else why_outside(room, name, inside)
        if reason:
            found.append(f"{path.relative_to(PACKAGE).as_posix()}:{line}: {reason}")
    return found


def test_every_room_has_a_level() -> None:
    rooms = {room_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__", "__main__"}
    assert rooms <= set(LEVELS), "give a new room its place in LEVELS"


def test_imports_go_down_only() -> None:
    found = [v for path in sorted(PACKAGE.rglob("*.py")) for v in violations(path, path.read_text("utf-8"))]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("plan/planner.py", "from convforge.nn import Module"),
        ("plan/planner.py", "def f():\n    from ..autograd import Tensor"),
        ("ir/loops.py", "from convforge.runtime import compiler"),
        ("optim/sgd.py", "from convforge.nn import Parameter"),
        ("problem/spec.py", "import convforge"),
        ("autograd/tensor.py", "from convforge import nn"),
        ("kernels/direct.py", "from llvmlite import ir"),
        ("ir/loops.py", "from llvmlite import binding"),
        ("cli/apply.py", "from PIL import Image"),
        ("nn/conv.py", "def f():\n    from PIL import Image"),
        ("nn/conv.py", "def f():\n    import torch"),
        ("cli/apply.py", "def f():\n    import sklearn"),
    ],
)
def test_a_planted_import_is_seen(file: str, source: str) -> None:
    assert violations(PACKAGE / file, source)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("nn/functional/conv.py", "from ...autograd import Tensor\nfrom ...problem.spec import ConvSpec"),
        ("nn/conv.py", "from .module import Module\nfrom . import functional as F"),
        ("runtime/cache.py", "from convforge._version import __version__\nfrom llvmlite import binding"),
        ("cli/apply.py", "import convforge\ndef f():\n    from PIL import Image"),
        ("target/host.py", "import numpy as np\ndef f():\n    from llvmlite import binding"),
    ],
)
def test_a_lawful_import_passes(file: str, source: str) -> None:
    assert violations(PACKAGE / file, source) == []


def fresh_process(code: str) -> str:
    """What `code` prints in a Python of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_nothing_heavy() -> None:
    loaded = fresh_process(
        "import sys, convforge; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    ).split()
    assert "convforge" in loaded
    assert set(loaded).isdisjoint(NOT_AT_START)


def test_first_calls_load_no_part_of_numpy_that_importing_it_does_not() -> None:
    """numpy.ma, which numpy.unique asks for, takes 13 ms: more than all else of a call from disk."""
    loaded = fresh_process(
        "import sys, numpy as np\n"
        "from convforge import nn\n"
        "layers = [nn.Conv2d(8, 32, 3, padding=2, dilation=2), nn.Conv2d(8, 32, 1), nn.Conv2d(3, 16, 5, 2)]\n"
        "layers += [nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ConvTranspose2d(8, 20, 4, 2, 1)]\n"
        "before = set(sys.modules)\n"
        "for size in (7, 40):\n"
        "    for layer in layers:\n"
        "        layer(np.ones((1, layer.in_channels, size, size), np.float32))\n"
        "print(*(name for name in set(sys.modules) - before if name.split('.')[0] == 'numpy'))"
    )
    assert loaded.split() == []


def test_the_notes_import_lines_work() -> None:
    printed = fresh_process(
        "import convforge as torch, convforge.nn as nn, convforge.nn.functional as F\n"
        "from convforge.autograd import Variable\n"
        "print(torch.nn is nn, nn.functional is F, torch.Tensor.__name__)"
    )
    assert printed.split() == ["True", "True", "Tensor"]
