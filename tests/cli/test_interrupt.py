import os
import signal
import subprocess
import sys
import time
from importlib import import_module

import pytest

from convforge.cli.interrupt import Interrupted, Interrupts

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGINT is POSIX's")


def import_and_sleep(name):
    with Interrupts():
        import_module(name)
        time.sleep(30)


def test_an_import_is_let_finish(tmp_path, monkeypatch):
    text = "import signal\nsignal.raise_signal(signal.SIGINT)\nis_whole = True\n"
    (tmp_path / "interrupted_module.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    began = time.monotonic()
    with pytest.raises(Interrupted):
        import_and_sleep("interrupted_module")
    assert sys.modules.pop("interrupted_module").is_whole
    assert time.monotonic() - began < 10


def test_the_handler_of_before_comes_back():
    before = signal.getsignal(signal.SIGINT)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_an_interrupt_within_exec_does_not_end_the_process():
    # KeyboardInterrupt itself would: CPython ends by the signal where it once passed through an exec.
    text = (
        "import signal, sys\n"
        "from convforge.cli.interrupt import Interrupts\n"
        "try:\n"
        "    with Interrupts():\n"
        "        exec('signal.raise_signal(signal.SIGINT)')\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)\n"
    )
    assert subprocess.run([sys.executable, "-c", text], check=False, timeout=60).returncode == 130
