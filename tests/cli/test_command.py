"""The command as a process: exit statuses, streams, interruption, and the small subcommands."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from convforge._version import __version__
from convforge.cli import main

COMMAND = [sys.executable, "-m", "convforge"]


def process(*arguments, **options):
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, encoding="utf-8", check=False, **options
    )


def test_version_and_help():
    done = process("--version")
    assert (done.returncode, done.stdout) == (0, f"convforge {__version__}\n")
    assert "apply" in process("--help").stdout
    assert '--layer "Conv2d(3, 1, 3)" --kernel sobel' in process("apply", "--help").stdout


@pytest.mark.parametrize("arguments", [[], ["aply"], ["cache", "--cleer"], ["apply"]])
def test_a_mistake_is_one_line_and_status_two(arguments):
    done = process(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("convforge: ")
    assert done.stderr.count("\n") == 1


def test_demo_as_a_process(tmp_path):
    pytest.importorskip("matplotlib")
    done = process("apply", "--demo", "--out", str(tmp_path / "demo.png"))
    assert done.returncode == 0, done.stderr
    assert "size before  torch.Size([1, 3, 600, 512])" in done.stdout
    assert "size after   torch.Size([1, 1, 598, 510])" in done.stdout
    assert os.listdir(tmp_path) == ["demo.png"]


def test_a_terminal_without_the_letters(tmp_path):
    pytest.importorskip("matplotlib")
    plain = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = process("apply", "--demo", "--out", str(tmp_path / "x.png"), env=plain)
    assert done.returncode == 0, done.stderr
    assert "H: ?(600 + 2?0" in done.stdout


def test_info(capsys, tmp_path, monkeypatch):
    from convforge import runtime

    folder = runtime.cache_info()["folder"]
    runtime.set_cache_dir(tmp_path / "cache")
    try:
        assert main(["info"]) == 0
        text = capsys.readouterr().out
        assert text.startswith(f"convforge    {__version__}\n")
        assert str(tmp_path / "cache") in text
        assert "threads " in text
        assert main(["cache", "--clear"]) == 0
        assert "0 kernels" in capsys.readouterr().out
    finally:
        runtime.set_cache_dir(folder)


def test_a_reader_that_leaves_early():
    done = subprocess.run(
        f"{shlex.join(COMMAND)} info | head -c 5", shell=True, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="SIGINT is POSIX's")
def test_ctrl_c_stops_with_130_and_leaves_nothing(tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(30):
        image_module.new("RGB", (300, 300), (number, 0, 0)).save(photos / f"{number:02}.png")
    running = subprocess.Popen(
        [*COMMAND, "apply", str(photos), "--out", str(tmp_path / "out")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not (tmp_path / "out").exists() and running.poll() is None:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err == "convforge: interrupted\n"
    assert all(name.endswith(".png") and not name.startswith(".") for name in os.listdir(tmp_path / "out"))
