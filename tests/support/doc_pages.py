"""Pages of the documentation as programs.

```python          all of a page are one program, run in order in an empty folder
print(1 + 1)
```

```text            right after it: everything that it prints; ⋯ stands for anything on its line, and a line of
2                  ⋯ alone for any number of lines
```

```python
print(1 + 1)  # 2  where no ```text follows, what is printed stands behind each print
```

```console
$ convforge draw padding --out padding.svg       run as a command line, what follows is what it prints
padding.svg
```

```{.python .no-run}    is shown only
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import convforge
from convforge.cli import main
from convforge.explain import set_language

ROOT = Path(__file__).parents[2]
LANGUAGES = ("en", "zh")
ANYTHING = "⋯"
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN_BEHIND = re.compile(r"print\(.*\)  # (.+)$", re.MULTILINE)
COMMAND = re.compile(r"^\$ (.+(?:\\\n.+)*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its kind as written after the fence, its text, and the line where it starts."""

    info: str
    code: str
    line: int
    start: int
    end: int


@dataclass(frozen=True)
class Said:
    """What a block printed, and what the page says that it prints; `at`: where that stands in the page."""

    line: int
    printed: str
    promised: str
    at: tuple[int, int] | None


def pages(language: str) -> list[Path]:
    """The pages of a language, by their place in its folder."""
    return sorted((ROOT / "docs" / language).rglob("*.md"))


def name_of(page: Path) -> str:
    """en/tutorial/sizes.md"""
    return page.relative_to(ROOT / "docs").as_posix()


def blocks_of(text: str) -> list[Block]:
    """All fenced blocks that start at the margin."""
    return [
        Block(
            f["info"].strip(), f["code"], text.count("\n", 0, f.start()) + 1, f.start("code"), f.end("code")
        )
        for f in FENCE.finditer(text)
    ]


def without_wildcards(promised: str) -> re.Pattern[str]:
    """What a page promises as a pattern."""
    lines = [
        r"(?:.*\n)*" if line.strip() == ANYTHING else re.escape(line).replace(ANYTHING, ".*?") + r"\s*?\n"
        for line in promised.rstrip("\n").split("\n")
    ]
    return re.compile("".join(lines))


def keeps_promise(said: Said) -> bool:
    """Whether it printed what the page says."""
    printed = "\n".join(line.rstrip() for line in said.printed.splitlines()) + "\n"
    return without_wildcards(said.promised).fullmatch(printed) is not None


def run_page(page: Path, folder: Path) -> Iterator[Said]:
    """Runs a page from top to bottom; yields every block that prints something or promises to."""
    text = page.read_text("utf-8")
    blocks = blocks_of(text)
    program: dict[str, Any] = {"__name__": "__main__"}
    with _settings(name_of(page).partition("/")[0], folder):
        for number, block in enumerate(blocks):
            if block.info == "python":
                printed = _printed(page, block, program)
                shown = _output_of(block, blocks[number + 1 : number + 2], text)
                if shown is not None:
                    yield Said(block.line, printed, shown.code, (shown.start, shown.end))
                elif printed or SHOWN_BEHIND.search(block.code):
                    promised = " ".join(SHOWN_BEHIND.findall(block.code)).split()
                    yield Said(block.line, " ".join(printed.split()), " ".join(promised), None)
            elif block.info == "console":
                yield from _console(block)


def _output_of(block: Block, following: list[Block], text: str) -> Block | None:
    """The ```text block right after a block, nothing but blank lines between."""
    if not following or following[0].info != "text":
        return None
    between = text[block.end + len("```") : following[0].start - len("```text\n")]
    return None if between.strip() else following[0]


def _printed(page: Path, block: Block, program: dict[str, Any]) -> str:
    # Compiled with its place in the page, so that a traceback names the page's line.
    code = compile("\n" * block.line + block.code, str(page), "exec")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, program)
    return out.getvalue()


def _console(block: Block) -> Iterator[Said]:
    for found in COMMAND.finditer(block.code):
        words = shlex.split(found[1].replace("\\\n", " "))
        assert words[0] == "convforge", f"line {block.line}: only convforge is run, not {words[0]}"
        with contextlib.redirect_stdout(io.StringIO()) as out:
            try:
                status = main(words[1:])
            except SystemExit as done:  # as argparse ends --help
                status = int(done.code or 0)
        assert status == 0, f"line {block.line}: {found[1]} ended with {status}"
        yield Said(
            block.line, out.getvalue(), found[2], (block.start + found.start(2), block.start + found.end(2))
        )


@contextlib.contextmanager
def _settings(language: str, folder: Path) -> Iterator[None]:
    """The page's language, an empty folder, and everything as it was afterwards."""
    before, modules, path = Path.cwd(), set(sys.modules), list(sys.path)
    threads, columns = convforge.get_num_threads(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"  # argparse lays out its help for the terminal
    os.chdir(folder)
    set_language(language)
    try:
        yield
    finally:
        os.chdir(before)
        if columns is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = columns
        set_language(None)
        convforge.set_num_threads(threads)
        convforge.set_float32_matmul_precision("highest")
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).is_relative_to(folder):
                del sys.modules[name]
