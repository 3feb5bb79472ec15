"""The site, built once for all tests that read it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.doc_pages import ROOT

PLUGINS = ("mkdocs", "material", "mkdocstrings", "mkdocs_static_i18n")
PATIENCE_S = 600
PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built strictly and without a network; skips where mkdocs is not installed."""
    missing = [plugin for plugin in PLUGINS if importlib.util.find_spec(plugin) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install -e '.[docs]'")
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    # The first worker that comes builds; what it said is there when it has ended.
    folder, said = shared / "site", shared / "site.said"
    try:
        folder.mkdir()
    except FileExistsError:
        deadline = time.monotonic() + PATIENCE_S
        while not said.exists():
            assert time.monotonic() < deadline, f"no other worker has built the site in {PATIENCE_S} s"
            time.sleep(0.2)
    else:
        said.with_suffix(".part").write_text(built_into(folder), "utf-8")
        said.with_suffix(".part").rename(said)
    errors = said.read_text("utf-8")
    assert not errors, errors
    return folder


def built_into(folder: Path) -> str:
    """Builds the site; "", or what mkdocs said if it failed."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={
            **os.environ,
            # Nothing listens there: a build that asked the network for anything would fail.
            **dict.fromkeys(PROXIES, "http://127.0.0.1:9"),
            "PYTHONPATH": str(ROOT / "src"),
            "NO_MKDOCS_2_WARNING": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return f"mkdocs ended with {done.returncode}\n{done.stderr[-4000:]}" if done.returncode else ""
