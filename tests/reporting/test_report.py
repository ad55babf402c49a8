import numpy as np
import pytest

from mdbench.errors import InputError
from mdbench.stages import report
from mdbench.store import Dataset, Input, write_result

R = np.arange(0.025, 6.0, 0.05)


def write_rdf(run, name="reference/li2s/rdf-800K.h5", r=R, drop=(), **changes):
    path = run / "observables" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    g = 1 + 3 * np.exp(-(((R - 2.5) / 0.2) ** 2))
    peak = {"r": 2.5, "height": 4.0, "coordination": 3.75, "reverse": 8.25}
    attributes = {
        "observable": "rdf",
        "source": "reference",
        "material": "li2s",
        "temperature_k": 800.0,
        "potential": None,
        "label": None,
        "n_runs": 2,
        "n_frames": 350,
        "skip_ps": [7.5, 7.5],
        "peaks": {"total": peak, "Li-S": peak, "S-S": dict.fromkeys(peak)},
        **changes,
    }
    write_result(
        path,
        "observables",
        {
            "r": Dataset(r, "Angstrom", ("bin",)),
            **{f"g/{pair}": Dataset(g, "", ("bin",)) for pair in ("total", "Li-S", "S-S")},
            "runs/total": Dataset(np.array([g, g]), "", ("run", "bin")),
        },
        attributes={k: v for k, v in attributes.items() if k not in drop},
        config={"r_max": 6.0},
        inputs=[Input("800K-r0.h5", "trajectory", "cd" * 32)],
    )
    return path


def test_page_of_a_run(tmp_path):
    write_rdf(tmp_path)
    write_rdf(tmp_path, "reference/lgps/rdf.h5", material="lgps", temperature_k=None)
    summary = report.run([tmp_path])
    assert summary.output == tmp_path / "report" / "index.html"
    assert summary.shown == [
        "reference: lgps g(r), first peak 2.500 Å",
        "reference: li2s g(r), first peak 2.500 Å",
    ]
    text = summary.output.read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,iVBOR") == 2
    assert "3.75" in text
    assert "8.25" in text
    assert "cd" * 32 in text
    assert "not a material" not in text
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    "where", ({"label": "Synthetic"}, {"source": "synthetic"}, {"potential": "synthetic (toy)"})
)
def test_synthetic_is_told_by_any_of_three_places(tmp_path, where):
    write_rdf(tmp_path, **where)
    assert "not a material" in report.run([tmp_path]).output.read_text(encoding="utf-8")


def test_hostile_material(tmp_path):
    write_rdf(tmp_path, material="<script>alert(1)</script>")
    text = report.run([tmp_path]).output.read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in text
    assert "<script" not in text


def test_results_of_other_kinds_are_named(tmp_path):
    write_rdf(tmp_path)
    write_rdf(tmp_path, "reference/li2s/msd-800K.h5", observable="barrier")
    summary = report.run([tmp_path])
    assert summary.not_shown == ["observables/reference/li2s/msd-800K.h5"]
    assert len(summary.shown) == 1


def test_an_own_page_is_replaced_but_nothing_else(tmp_path):
    write_rdf(tmp_path)
    page = report.run([tmp_path]).output
    write_rdf(tmp_path, material="other")
    report.run([tmp_path])
    assert "other" in page.read_text(encoding="utf-8")
    page.write_text("<html>mine</html>")
    with pytest.raises(InputError, match="output exists"):
        report.run([tmp_path])
    assert page.read_text() == "<html>mine</html>"
    report.run([tmp_path], force=True)
    assert "other" in page.read_text(encoding="utf-8")


def test_a_page_elsewhere_is_refused_unless_forced(tmp_path):
    write_rdf(tmp_path / "run")
    folder = tmp_path / "elsewhere"
    assert report.run([tmp_path / "run"], folder).output == folder / "index.html"
    with pytest.raises(InputError, match="output exists"):
        report.run([tmp_path / "run"], folder)
    report.run([tmp_path / "run"], folder, force=True)
    assert not (tmp_path / "run" / "report").exists()


def test_nothing_to_show(tmp_path):
    with pytest.raises(InputError, match="no such run folder"):
        report.run([tmp_path / "none"])
    with pytest.raises(InputError, match=r"no results to show.*found none.*make benchmark"):
        report.run([tmp_path])
    write_rdf(tmp_path, observable="barrier")
    with pytest.raises(InputError, match="1 of other kinds"):
        report.run([tmp_path])
    assert not (tmp_path / "none").exists()
    assert not (tmp_path / "report" / "index.html").exists()


@pytest.mark.parametrize(
    "damage",
    (
        {"drop": ("material",)},
        {"temperature_k": "hot"},
        {"skip_ps": 7.5},
        {"peaks": {"total": {"r": 1.0}}},
        {"peaks": "none"},
        {"r": R[:-1]},
        {"r": np.zeros(())},
    ),
)
def test_damaged_results_are_named(tmp_path, damage):
    path = write_rdf(tmp_path, **damage)
    with pytest.raises(InputError, match="damaged result") as caught:
        report.run([tmp_path])
    assert str(path) in str(caught.value)
    assert not (tmp_path / "report" / "index.html").exists()


def test_a_truncated_file_is_named(tmp_path):
    path = write_rdf(tmp_path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"rdf-800K\.h5"):
        report.run([tmp_path])
