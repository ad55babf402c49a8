"""A shell in which `mdbench` is this checkout's, without its start-up time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.docs.blocks import ROOT
from tests.docs.server import write_client

#: `make` reads the Makefile and says what it would do.
_MAKE = f'#!/bin/sh\nexec "{shutil.which("make")}" --directory "{ROOT}" --dry-run "$@"\n'


@dataclass(frozen=True)
class Done:
    """What a block did.

    Attributes:
        status: Exit status of its first command that failed, else 0.
        out: What it wrote to stdout and stderr, in order.
    """

    status: int
    out: str


@dataclass(frozen=True)
class Shell:
    """Runs blocks of commands.

    Attributes:
        commands: A folder with `mdbench` and `make`.
    """

    commands: Path

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[Self]:
        """A shell whose server lives as long as the block."""
        address = folder / "server"
        commands = folder / "bin"
        commands.mkdir()
        write_client(commands / "mdbench", address)
        (commands / "make").write_text(_MAKE)
        (commands / "make").chmod(0o755)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.docs.server", str(address)],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            yield cls(commands)
        finally:
            server.terminate()
            server.wait()

    def run(self, text: str, folder: Path, *, stop: bool = True) -> Done:
        """Runs a block in a folder.

        Args:
            text: Lines of bash.
            folder: Where.
            stop: At the first command that fails.
        """
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MDBENCH")}
        environment |= {
            "PATH": f"{self.commands}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1", "COLUMNS": "80",
            "MDBENCH_CACHE": str(self.commands.parent / "cache"),
        }  # fmt: skip
        done = subprocess.run(
            ["bash", "-uo", "pipefail", *(["-e"] if stop else []), "-c", text],
            cwd=folder, env=environment, text=True, check=False, timeout=1200,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return Done(done.returncode, done.stdout)
