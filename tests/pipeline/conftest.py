"""The command line, called in this process."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from mdbench_cli.main import run


@dataclass(frozen=True)
class Outcome:
    """What a command did.

    Attributes:
        status: Exit status.
        out: What it printed to stdout.
        err: What it printed to stderr.
    """

    status: int
    out: str
    err: str


@pytest.fixture
def mdbench(capsys) -> Callable[..., Outcome]:
    """Runs a command; a warning of numpy counts as a failure, since users would see it."""

    def call(*args: object) -> Outcome:
        capsys.readouterr()
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            status = run([str(arg) for arg in args])
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call
