"""What several test modules need."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real trajectory files written by other codes."""
    folder = os.environ.get("MDBENCH_REAL_DATA")
    if not folder:
        pytest.skip("MDBENCH_REAL_DATA is not set: no real files of other codes here")
    return Path(folder) / "trajectories"
