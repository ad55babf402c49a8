"""Compiled kernels follow the sources of the kernels that they call."""

import os
import subprocess
import sys

INNER = "from mdbench.compiled import compiled\n@compiled\ndef inner(x):\n    return x + {}\n"
OUTER = (
    "from mdbench.compiled import compiled\nfrom inner import inner\n"
    "@compiled\ndef outer(x):\n    return 10 * inner(x)\nprint(outer(1))\n"
)


def run(folder):
    done = subprocess.run(
        [sys.executable, "outer.py"], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_an_edit_in_another_file_counts(tmp_path):
    """numba alone would go on with the old code of the kernel that is called."""
    (tmp_path / "outer.py").write_text(OUTER)
    (tmp_path / "inner.py").write_text(INNER.format(1))
    assert run(tmp_path) == "20"
    assert any((tmp_path / "__pycache__").glob("outer*.nbi"))
    (tmp_path / "inner.py").write_text(INNER.format(2))
    os.utime(tmp_path / "inner.py", (2e9, 2e9))
    assert run(tmp_path) == "30"
    assert run(tmp_path) == "30"
