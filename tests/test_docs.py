"""The code in the documentation runs."""

import re
import shlex
from pathlib import Path

import ase.io
import click
import numpy as np
import pytest
from mdbench_cli.main import cli

from mdbench.store import write_trajectory
from mdbench.synthetic import HoppingModel, ion_conductor

DOCS = Path(__file__).parent.parent / "docs"
BLOCKS = [
    (page, block)
    for page in sorted(DOCS.rglob("*.md"))
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
]


def test_there_is_code_in_the_documentation():
    assert {page.name for page, _ in BLOCKS} >= {"files.md"}


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=[p.name for p, _ in BLOCKS])
def test_python_blocks(page, block, tmp_path, monkeypatch):
    run = ion_conductor(HoppingModel(repeats=1), 20, np.random.default_rng(0))
    write_trajectory(tmp_path / "traj.h5", run)
    ase.io.write(tmp_path / "md.traj", run.to_ase())
    monkeypatch.chdir(tmp_path)
    exec(compile(block, str(page), "exec"), {})


def test_the_notebook_lines_of_the_readme():
    text = (DOCS.parent / "README.md").read_text()
    section = text.partition("## In a notebook")[2].partition("## ")[0]
    code = "\n".join(line.strip() for line in section.splitlines() if line.startswith("    "))
    images = ion_conductor(HoppingModel(repeats=1), 1020, np.random.default_rng(0)).to_ase()
    names = {"images": images}
    exec(compile(code, "README.md", "exec"), names)
    assert names["g"].shape == (120,)


PAGES = [*sorted(DOCS.rglob("*.md")), DOCS.parent / "README.md"]
SHOWN = re.compile(r"^ *(?:\$ )?(?:\.venv/bin/)?(mdbench [a-z][^$\n]*)$", re.MULTILINE)
LINES = [
    (page.name, line)
    for page in PAGES
    for line in SHOWN.findall(page.read_text().replace("\\\n", " "))
]


def test_there_are_commands_in_the_documentation():
    assert {page for page, _ in LINES} >= {"README.md", "index.md", "train.md", "dynamics.md"}


@pytest.mark.parametrize(("page", "line"), LINES)
def test_commands_are_accepted(page, line):
    """Names and options of every command that is shown are there, and take what is given."""
    _, name, *arguments = shlex.split(line, comments=True)
    command = cli.get_command(click.Context(cli), name)
    assert command is not None, line
    command.make_context(name, arguments)
