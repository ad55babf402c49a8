"""The names that notebooks rely on: there, documented, light to import."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mdbench
from mdbench.table import Tabular
from tests.test_cli import HEAVY

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
TEN = (
    *("Trajectory", "read_trajectory", "write_trajectory", "read_result", "radial_distribution"),
    *("stability", "diffusion", "conductivity", "force_field", "diffusion_paths"),
)


def test_the_names():
    assert set(mdbench.__all__) == {*TEN, "InputError", "TrajectoryFile", "__version__"}
    assert set(dir(mdbench)) == set(mdbench.__all__)
    for name in mdbench.__all__:
        assert getattr(mdbench, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'simulate'"):
        mdbench.simulate  # noqa: B018


@pytest.mark.parametrize("name", TEN)
def test_each_has_its_place_in_the_documentation(name):
    section = PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    shown, code = section.split("```python\n")
    assert f"mdbench.{name}" in code
    signature = re.search(rf"`{name}\((.*?)\)(?:\s+-> [^`]*)?`", shown, re.DOTALL)
    assert signature is not None
    given = inspect.signature(getattr(mdbench, name))
    arguments = [part.partition("=") for part in re.split(r",\s+", signature[1]) if part != "*"]
    assert [name.lstrip("*") for name, _, _ in arguments] == list(given.parameters)
    for argument, _, default in arguments:
        known = given.parameters[argument.lstrip("*")].default
        if default not in ("", "…"):
            assert default.replace('"', "'") == repr(known).replace(
                "slice(None, None, None)", "slice(None)"
            )
        elif not default:
            assert known is inspect.Parameter.empty


@pytest.mark.parametrize("name", TEN)
def test_each_is_annotated_and_says_what_it_takes(name):
    known = getattr(mdbench, name)
    text = inspect.getdoc(known)
    assert text is not None
    for parameter in inspect.signature(known).parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
        assert re.search(rf"^ +{parameter.name}: ", text, re.MULTILINE)


def test_results_are_tables():
    for name in (
        "radial_distribution",
        "stability",
        "diffusion",
        "conductivity",
        "diffusion_paths",
    ):
        result = inspect.get_annotations(getattr(mdbench, name), eval_str=True)["return"]
        assert issubclass(result, Tabular)
        assert result.__dataclass_params__.frozen


def test_importing_is_light():
    code = f"import sys, mdbench; print([m for m in {HEAVY} + ('numpy',) if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
