"""Every page is a program: its code runs from top to bottom, and prints what the page says.

How blocks are written is told in support/doc_pages.py; tests/docs/refresh_outputs.py writes what they print.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from support.doc_pages import FENCE, LANGUAGES, blocks_of, keeps_promise, name_of, pages, run_page

PAGES = [page for language in LANGUAGES for page in pages(language)]
PROGRAMS = [
    page for page in PAGES if {"python", "console"} & {b.info for b in blocks_of(page.read_text("utf-8"))}
]
# What pages need beyond the library itself.
NEEDS = {
    "howto/numpy.md": ("scipy",),
    "howto/photographs.md": ("PIL", "matplotlib"),
    "howto/draw.md": ("PIL", "matplotlib"),
    "howto/state-dicts.md": ("safetensors",),
    "tutorial/photograph.md": ("PIL", "matplotlib"),
}
# Shown and not run, with the reason.
NOT_RUN = {
    (
        "tutorial/parameters.md",
        "nn.Conv2d(in_channels, out_channels, kernel_size, stride=1, padding=0,",
    ): "a signature",
    ("howto/from-pytorch.md", "import torch as pytorch"): "needs PyTorch and its weights",
    ("howto/from-pytorch.md", "theirs = pytorch.from_dlpack(features)"): "needs PyTorch",
    ("howto/explorer.md", "from convforge.web.server import open_explorer"): "serves until it is stopped",
    (
        "howto/speed.md",
        "print(torch.tune(model, torch.rand(1, 3, 224, 224)))",
    ): "measures, and keeps what it found",
}
KINDS = {"python", "console", "text", "sh", "{.python .no-run}"}


def place(page: Path) -> str:
    return name_of(page).partition("/")[2]


@pytest.mark.parametrize("page", PROGRAMS, ids=name_of)
def test_the_code_runs_and_prints_what_the_page_says(page: Path, tmp_path: Path) -> None:
    for library in NEEDS.get(place(page), ()):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    wrong = [said for said in run_page(page, tmp_path) if not keeps_promise(said)]
    assert not wrong, "\n".join(
        f"{name_of(page)}:{each.line} prints\n{each.printed}\nand says\n{each.promised}" for each in wrong
    )


def test_blocks_that_are_not_run_are_the_ones_with_a_reason() -> None:
    found = {
        (place(page), block.code.splitlines()[0])
        for page in PAGES
        for block in blocks_of(page.read_text("utf-8"))
        if block.info == "{.python .no-run}"
    }
    assert found == set(NOT_RUN)


def test_every_block_is_of_a_known_kind() -> None:
    # Also that no fence is indented or left open: then it would be run by nobody.
    for page in PAGES:
        text = page.read_text("utf-8")
        assert {block.info for block in blocks_of(text)} <= KINDS, name_of(page)
        assert "```" not in FENCE.sub("", text), name_of(page)


def test_shell_blocks_only_install_and_call_the_command_line() -> None:
    for page in PAGES:
        for block in blocks_of(page.read_text("utf-8")):
            if block.info == "sh":
                starts = {line.split()[0] for line in block.code.splitlines() if not line.startswith(" ")}
                assert starts <= {"pip", "make", "convforge"}, name_of(page)


@pytest.mark.parametrize("place_", [place(page) for page in pages("en")])
def test_both_languages_have_the_same_code(place_: str) -> None:
    def code(language: str) -> list[tuple[str, str]]:
        (page,) = (page for page in pages(language) if place(page) == place_)
        return [
            # Of a console the commands: what they print is in the page's language.
            (b.info, b.code if b.info != "console" else "\n".join(re.findall(r"^\$.*", b.code, re.MULTILINE)))
            for b in blocks_of(page.read_text("utf-8"))
            if b.info != "text"
        ]

    assert code("en") == code("zh")
