"""The notebooks of the documentation are valid and run, from nothing."""

import contextlib
import io
import json
from pathlib import Path

import matplotlib as mpl
import matplotlib.image
import matplotlib.pyplot
import pytest

DOCS = Path(__file__).parent.parent / "docs"
NOTEBOOKS = sorted(DOCS.rglob("*.ipynb"))


def cells(path, kind):
    """The sources of the cells of a kind."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_there_is_a_first_look():
    assert [path.name for path in NOTEBOOKS] == ["first-look.ipynb"]
    assert "(notebooks/first-look.ipynb)" in (DOCS / "python.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_valid_and_hold_no_results(path):
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert notebook.nbformat == 4
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_the_first_look_runs(tmp_path, monkeypatch):
    (path,) = NOTEBOOKS
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    shown = io.StringIO()
    with mpl.rc_context({"backend": "agg"}), contextlib.redirect_stdout(shown):
        for number, source in enumerate(cells(path, "code"), start=1):
            exec(compile(source, f"{path.name}, cell {number}", "exec"), names)
    mpl.pyplot.close("all")
    words = shown.getvalue()
    assert "D = " in words  # the sample resolves it
    assert "lead through the crystal along a, b, c: (True, True, True)" in words
    picture = mpl.image.imread(tmp_path / "first-look.png")
    assert picture.std() > 0.05
