"""What a user meets before the first call: versions, readme, licence, the make targets."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import convforge

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.zh-CN.md")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_one_version() -> None:
    assert convforge.__version__ == importlib.metadata.version("convforge")


def test_the_changelog_names_the_version_or_what_is_unreleased() -> None:
    headings = re.findall(r"^## \[(.+?)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert {"Unreleased", convforge.__version__} & set(headings)


def test_the_licence_is_the_one_declared() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    assert project["license"] == "BSD-3-Clause"
    assert read("LICENSE").startswith("BSD 3-Clause License")


def test_types_are_shipped() -> None:
    assert (ROOT / "src" / "convforge" / "py.typed").is_file()


def test_both_readmes_have_the_same_skeleton() -> None:
    english, chinese = map(read, READMES)
    for pattern in (r"^(#+) ", r"^\|.*\|$", r"!\[", r"^- "):
        counts = [len(re.findall(pattern, text, re.MULTILINE)) for text in (english, chinese)]
        assert counts[0] == counts[1], f"{pattern}: {counts}"


def without_comments(code: str) -> str:
    return "\n".join(line.partition("#")[0].rstrip() for line in code.splitlines())


def test_both_readmes_have_the_same_code() -> None:
    english, chinese = (
        [(kind, without_comments(code)) for kind, code in FENCE.findall(read(name))] for name in READMES
    )
    assert english == chinese
    assert english


def test_the_readme_code_runs_and_says_the_truth(tmp_path: Path) -> None:
    blocks = [code for kind, code in FENCE.findall(read("README.md")) if kind == "python"]
    assert len(blocks) >= 3
    for code in blocks:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, f"{code}\n{done.stderr}"
        promised = re.findall(r"print\(.*#\s*(.+)$", code, re.MULTILINE)
        assert done.stdout.split() == " ".join(promised).split(), code


@pytest.mark.parametrize("name", [*READMES, "CONTRIBUTING.md", "examples/README.md"])
def test_every_file_and_target_that_is_named_exists(name: str) -> None:
    text = read(name)
    folder = (ROOT / name).parent
    links = [link for link in re.findall(r"\]\(([^)#:]+)\)", text) if link]
    assert [link for link in links if not (folder / link).exists()] == []
    targets = set(re.findall(r"^(\w+):", read("Makefile"), re.MULTILINE))
    named = {word for line in re.findall(r"\bmake ([a-z ]+)", text) for word in line.split()[:1]}
    assert named <= targets
    scripts = re.findall(r"examples/(\w+\.py)", text)
    assert [s for s in scripts if not (ROOT / "examples" / s).is_file()] == []


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_refuses_an_old_python(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "-C", ROOT, "demo", f"PYTHON={shutil.which('false')}", f"VENV={tmp_path / 'venv'}"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 2
    assert "is no Python >= 3.11 with venv; name another: make PYTHON=" in done.stderr
    assert not (tmp_path / "venv").exists()
