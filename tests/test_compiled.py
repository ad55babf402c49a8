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


def test_where_nothing_can_be_kept(tmp_path) -> None:
    """A container without a home: kernels are compiled anew by each process."""
    code = (
        "from mdbench.compiled import compiled\n"
        "from mdbench.analysis.motion import _moves\n"
        "assert not _moves.stats.cache_path\n"
        "print(compiled(lambda x: x + 1)(2))"
    )
    nowhere = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserWideCacheLocator", "HOME": "/proc/none"}
    environment = {**os.environ, **nowhere, "XDG_CACHE_HOME": "/proc/none"}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "3\n", done.stderr
