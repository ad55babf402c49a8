"""What several test modules need."""

import os
import signal
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """Ctrl-C reaches the processes that tests start, also where a shell had it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real trajectory files written by other codes."""
    folder = os.environ.get("MDBENCH_REAL_DATA")
    if not folder:
        pytest.skip("MDBENCH_REAL_DATA is not set: no real files of other codes here")
    return Path(folder) / "trajectories"
