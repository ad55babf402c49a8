"""The code in the documentation runs."""

import re
import shlex
import shutil
from pathlib import Path

import ase.io
import click
import numpy as np
import pytest
from mdbench_cli.main import cli
from mdbench_cli.main import run as command

from mdbench.store import write_trajectory
from mdbench.synthetic import HoppingModel, ion_conductor
from tests.docs import blocks

DOCS = Path(__file__).parent.parent / "docs"
BLOCKS = [
    (page, block)
    for page in sorted(DOCS.rglob("*.md"))
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
]


def test_there_is_code_in_the_documentation():
    assert {page.name for page, _ in BLOCKS} >= {"files.md"}


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=[p.name for p, _ in BLOCKS])
def test_python_blocks(page, block, assumed, tmp_path, monkeypatch):
    folder = shutil.copytree(assumed, tmp_path / "folder")
    monkeypatch.chdir(folder)
    exec(compile(block, str(page), "exec"), {})


@pytest.fixture(scope="module")
def assumed(tmp_path_factory):
    """The files that the blocks read."""
    folder = tmp_path_factory.mktemp("assumed")
    for seed, (name, kelvin) in enumerate(
        (("traj", 800.0), ("traj-2", 800.0), ("model", 800.0), ("hot", 1200.0))
    ):
        rng = np.random.default_rng(seed)
        run = ion_conductor(HoppingModel(repeats=1), 300, rng, temperature_k=kelvin)
        write_trajectory(folder / f"{name}.h5", run)
        if name == "traj":
            ase.io.write(folder / "md.traj", run.to_ase())
    for name in ("rdf", "msd"):
        words = [name, str(folder / "traj.h5"), "-o", str(folder / f"{name}.h5"), "--quiet"]
        assert command(words) == 0
    return folder


def test_the_notebook_lines_of_the_readme():
    text = (DOCS.parent / "README.md").read_text()
    section = text.partition("## In a notebook")[2].partition("## ")[0]
    code = "\n".join(line.strip() for line in section.splitlines() if line.startswith("    "))
    images = ion_conductor(HoppingModel(repeats=1), 1020, np.random.default_rng(0)).to_ase()
    names = {"images": images}
    exec(compile(code, "README.md", "exec"), names)
    assert names["g"].shape == (120,)


SHOWN = re.compile(r"^ *(mdbench [a-z][^$\n]*)$")
LINES = [
    (page, match[1])
    for page in blocks.pages()
    for block in blocks.blocks(page)
    if not (block.shown or "").startswith("mdbench: error: ")
    for line in blocks.commands(block.text)
    if (match := SHOWN.match(line))
]


def test_there_are_commands_in_the_documentation():
    pages = {page for page, _ in LINES}
    assert pages >= {"README.md", "index.md", "howto/train.md", "howto/dynamics.md"}


@pytest.mark.parametrize(("page", "line"), LINES)
def test_commands_are_accepted(page, line):
    """Names and options of every command that is shown are there, and take what is given."""
    _, name, *arguments = shlex.split(line, comments=True)
    command = cli.get_command(click.Context(cli), name)
    assert command is not None, line
    command.make_context(name, arguments)
