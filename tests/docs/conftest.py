"""A shell, and the files that the pages assume."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docs import folders
from tests.docs.shell import Shell


@pytest.fixture(scope="package")
def shell(tmp_path_factory) -> Iterator[Shell]:
    """Bash with this checkout's `mdbench`."""
    with Shell.open(tmp_path_factory.mktemp("shell")) as opened:
        yield opened


#: Makes a run folder: reference, dataset, a force field and its verdict; and copies of it.
RUN_FOLDER = """
mdbench reference --temps 800,1000 --replicas 2 --ps 1 --ramp-ps 0.1 --stride 5
mdbench simulate --calculator refpot --temps 800 --replicas 1 --ps 1 --ramp-ps 0.1
mdbench rdf --source refpot --against 'run/reference/lgps/*.h5'
mdbench msd
mdbench dataset --fraction 0.1
for copy in mine theirs run-of-a run-of-b; do cp -r run $copy; done
"""


@pytest.fixture(scope="package")
def assumed(tmp_path_factory, shell) -> Path:
    """Everything that pages assume, once."""
    folder = tmp_path_factory.mktemp("assumed")
    folders.make(folder)
    done = shell.run(RUN_FOLDER, folder)
    assert done.status == 0, done.out
    return folder


@pytest.fixture
def page_folder(assumed, tmp_path) -> Callable[[str], Path]:
    """Makes the folder of a page."""

    def make(page: str) -> Path:
        folders.copy(assumed, page, tmp_path / "page")
        return tmp_path / "page"

    return make
