"""Runs pages and writes what they print into them, where they say nothing else by ⋯.

PYTHONPATH=src:tests python tests/docs/refresh_outputs.py [docs/en/tutorial/sizes.md …]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from support.doc_pages import ANYTHING, LANGUAGES, keeps_promise, name_of, pages, run_page


def refresh(page: Path) -> None:
    """Rewrites one page."""
    text = page.read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        said = list(run_page(page, Path(folder)))
    for each in reversed(said):
        if keeps_promise(each):
            continue
        if each.at is None or ANYTHING in each.promised:
            print(f"{name_of(page)}:{each.line} says {each.promised!r}\n  prints {each.printed!r}")
            continue
        printed = "".join(f"{line.rstrip()}\n" for line in each.printed.splitlines())
        text = text[: each.at[0]] + printed + text[each.at[1] :]
    page.write_text(text, "utf-8")


if __name__ == "__main__":
    for page in map(Path, sys.argv[1:]) if sys.argv[1:] else [p for each in LANGUAGES for p in pages(each)]:
        refresh(page.resolve())
