"""Every command in the documentation runs, as it stands there or shrunk by the table below.

The bash blocks of a page are run in order in one folder, which has the files that the page assumes
(`folders.py`). `make` only says what it would do.
"""

import re

import pytest

from tests.docs import blocks

#: Long work, made short: what is typed, what is run instead.
SHRUNK = [
    # Lengths of runs: physics is not tested here.
    (r"--ps \d+", "--ps 0.8"),
    (r"mdbench (reference|simulate)\b(?!.*--start)", r"mdbench \1 --ramp-ps 0.02"),
    (r"mdbench (reference|simulate)\b(?!.*--ps)", r"mdbench \1 --ps 0.8"),
    (r"(mdbench simulate\b.*--replicas) \d+", r"\1 1"),
    (r"(mdbench simulate\b.*--temps) 800-1200", r"\1 800"),
    (r"(mdbench simulate)\b(?!.*--replicas)", r"\1 --replicas 1"),
    (r"--stride 10 -o accuracy", "--stride 50 -o accuracy"),
    # Budgets: enough for a few steps.
    (r"--budget \w+", "--budget 5s"),
    (r"--model schnet\b(?!-)", "--model schnet-small"),
    # What this machine may lack; the commands are the same.
    (r"--device cuda", "--device cpu"),
    (r"--calculator chgnet|--calculator sevennet", "--calculator mymodel:make"),
    (r"--source chgnet", "--source mymodel.make"),
    (r",chgnet\b", ",mymodel:make"),
    (r"my_module:Calc", "ase.calculators.lj:LennardJones"),
    (r"/scratch/me/run", "scratch/run"),
    (r"--executor slurm", "--executor my-cluster/"),
    # A benchmark takes minutes: here it is planned (tests/pipeline/test_benchmark.py runs one).
    (r"mdbench benchmark\b(?!.*--dry-run)(.*)", r"mdbench benchmark\1 --dry-run"),
    (r"mdbench COMMAND", "mdbench rdf"),
    # Two lines of one block that are alternatives.
    (r"(mdbench ingest output.lammpstrj .*)", r"\1 --force"),
    # What pip would do.
    (r"pip install my-model/", "export PYTHONPATH=$PWD/my-model"),
]

#: Lines that are not run: why.
NOT_RUN = [
    (r"source \.venv/bin/activate", "the tests run in that environment"),
    (r"module load .*", "a command of clusters"),
    (
        r"mdbench fetch .*",
        "needs the network: tests/pipeline/test_fetch.py has a server of its own",
    ),
]

#: (page, words of a command): exit statuses that the page itself speaks of.
STATUSES = {("howto/verdict.md", "--require stable"): {0, 1}}

#: What is typed before a block that begins so, where a page begins something else.
BEFORE = {("README.md", "mdbench reference"): "rm -r run"}

#: Blocks of these pages are alternatives that write the same file: each begins without it.
ALTERNATIVES = {"howto/vasp.md", "howto/others.md", "howto/lammps.md"}

#: Pages on which a block of text below commands is what they print: nothing is shrunk there, and
#: whole lines are compared.
PRINTED = {"faq.md"}

#: Pages that take longer than a default test may: for `make test-slow`. What the tutorial prints
#: is compared in `test_tutorial.py`.
SLOW = {
    "README.md", "howto/benchmark.md", "howto/calculator.md", "howto/dynamics.md", "howto/gpu.md",
    "howto/my-model.md", "howto/report.md", "howto/train.md", "tutorial.md",
}  # fmt: skip

PAGES = [
    pytest.param(page, marks=pytest.mark.slow if page in SLOW else ()) for page in blocks.pages()
]


def shrunk(line: str) -> str:
    """A line as it is run."""
    for pattern, _ in NOT_RUN:
        line = re.sub(rf"^\s*{pattern}$", ":", line)
    line = re.sub(r"^(\s*(?:mdbench|make)\b.*?)\s+# .*", r"\1", line)
    for pattern, replacement in SHRUNK:
        line = re.sub(pattern, replacement, line)
    return line


@pytest.mark.parametrize("page", PAGES)
def test_commands_run(page, shell, page_folder):
    folder = page_folder(page)
    for block in blocks.blocks(page):
        text = block.text if page in PRINTED else blocks.changed(block.text, shrunk)
        if page in ALTERNATIVES:
            for name in re.findall(r"-o (\S+)", text):
                (folder / name).unlink(missing_ok=True)
        before = BEFORE.get((page, " ".join(text.split()[:2])), ":")
        done = shell.run(f"{before}\n{text}", folder)
        fails = (block.shown or "").startswith("mdbench: error: ")
        expected = {2} if fails else {0}
        for (where, words), statuses in STATUSES.items():
            if where == page and words in text:
                expected = statuses
        assert done.status in expected, f"{page}, block {block.number}:\n{text}\n{done.out}"
        assert "internal error" not in done.out, f"{text}\n{done.out}"
        if page in PRINTED:
            printed = done.out.replace(str(folder), "/home/me/project").splitlines()
            missing = [line for line in (block.shown or "").splitlines() if line not in printed]
            assert not missing, f"{text}\n{done.out}"


@pytest.mark.parametrize(("pattern", "_"), [*SHRUNK, *NOT_RUN])
def test_nothing_in_the_tables_is_left_over(pattern, _):
    lines = [
        line for page in blocks.pages() for block in blocks.blocks(page)
        for line in blocks.commands(block.text)
    ]  # fmt: skip
    assert any(re.search(pattern, line) for line in lines), pattern
