"""Every command once, on one small folder: what tests of interrupts and of bad disks go through."""

import json
from dataclasses import dataclass
from pathlib import Path

from mdbench_cli.main import run

from mdbench.store import open_checked
from tests.pipeline.little import FORMS, little_run
from tests.stages.contents import arrays, files

REFERENCE = (
    *("reference", "--material", "lgps", "--temps", "800", "--replicas", "2", "--ps", "4"),
    *("--ramp-ps", "0.2", "--stride", "5", "--threads", "1", "--run", "run"),
)
TRAIN = ("train", "--model", "cgcnn-small", "--run", "run", "--budget", "4s", "--quiet")
MADE = "run/reference/lgps/800K-r*.h5"


@dataclass(frozen=True)
class Case:
    """A command, and what it makes.

    Attributes:
        words: As typed.
        alike: Whether every run of it makes the same arrays.
        resumes: Whether it goes on from files that an interrupted one leaves.
    """

    words: tuple[str, ...]
    alike: bool = True
    resumes: bool = False


MODEL = ("--model", "cgcnn-small", "--run", "run")
CASES = {
    "ingest": Case(("ingest", "run.extxyz", "-o", "t.h5", "--quiet")),
    "info": Case(("info", "run/reference/lgps/800K-r0.h5")),
    "convert": Case(("convert", "run/reference/lgps/800K-r0.h5", "-o", "t.extxyz", "--quiet")),
    "reference": Case((*REFERENCE[:-1], "other"), resumes=True),
    "dataset": Case(("dataset", "--run", "run", "--fraction", "0.02", "--force")),
    "train": Case((*TRAIN, "--seed", "1"), alike=False, resumes=True),
    "evaluate": Case(("evaluate", *MODEL)),
    "audit": Case(("audit", *MODEL), alike=False),
    "simulate": Case(
        (
            *("simulate", *MODEL, "--temps", "800", "--replicas", "2", "--ps", "0.2"),
            *("--ramp-ps", "0.1", "--threads", "1", "--quiet"),
        ),
        resumes=True,
    ),
    "rdf": Case(("rdf", MADE, "--against", MADE, "-o", "rdf.h5", "--plot", "rdf.png", "--force")),
    "msd": Case(("msd", MADE, "-o", "msd.h5", "--plot", "msd.svg", "--force")),
    "conductivity": Case(("conductivity", MADE, "-o", "c.h5", "--plot", "c.pdf", "--force")),
    "path": Case(("path", MADE, "-o", "path.h5", "--plot", "path.png", "--force")),
    "report": Case(("report", "run"), alike=False),
    "selftest": Case(("selftest",)),
}


def make_base(folder: Path) -> None:
    """Makes, in the working folder, everything that the commands read."""
    FORMS["extxyz"].write(folder, little_run(1500))
    for words in (
        (*REFERENCE, "--quiet"),
        ("dataset", "--run", "run", "--fraction", "0.05", "--quiet"),
        TRAIN,
    ):
        assert run(list(words)) == 0


def result(folder: Path) -> dict[str, object]:
    """Arrays of HDF5 files by name, and the names of all others."""
    return {name: arrays(folder / name) if name.endswith(".h5") else None for name in files(folder)}


def check_whole(folder: Path, case: Case) -> None:
    """Whatever has its final name can be opened; what has not is a journal or a state."""
    for name in files(folder):
        path = folder / name
        assert path.suffix != ".lock", name
        if path.suffix in (".part", ".state"):
            assert case.resumes, name
        elif path.suffix == ".h5":
            with open_checked(path) as file:
                assert "kind" in file.attrs, name
        elif path.suffix == ".json":
            json.loads(path.read_text())
