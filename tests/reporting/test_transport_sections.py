import copy
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mdbench.config import ConductivityConfig, MsdConfig
from mdbench.reporting.html import Page, render
from mdbench.reporting.rdf_html import Peak, RdfSection
from mdbench.reporting.transport_html import plain_number
from mdbench.reporting.transport_sections import conductivity_section, msd_section
from mdbench.stages import conductivity, msd
from mdbench.store import Input, Result, read_result, write_trajectory
from mdbench.synthetic import HoppingModel, ion_conductor
from tests.reporting.test_html import HOSTILE, Outline

LAG_PS = 0.1 * np.arange(400)
PNG = b"\x89PNG\r\n"


def quantity(value, low=None, high=None, unit="cm^2/s"):
    return {"value": value, "low": low, "high": high, "unit": unit, "resolved": value is not None}


def msd_result(**changes):
    d = quantity(1.34e-5, 1.05e-5, 1.72e-5)
    curve = 0.8 * LAG_PS + 0.2
    document = {
        "species": "Li",
        "fit": {
            "lag_ps": list(range(1, 11)),
            "msd": [0.8 * t + 0.2 for t in range(1, 11)],
            "slope": 0.8,
            "intercept": 0.2,
        },
        "diffusivity": d,
        "diffusivity_tensor": {
            "value": (1.34e-5 * np.eye(3)).tolist(),
            "low": (1.05e-5 * np.eye(3) - 1e-6).tolist(),
            "high": (1.72e-5 * np.eye(3) + 1e-6).tolist(),
            "unit": "cm^2/s",
            "resolved": True,
        },
        "along_cell_vectors": [d, d, quantity(2.5e-5, 2e-5, 3e-5)],
        "collective_diffusivity": quantity(None, None, 4.1e-8),
        "haven_ratio": quantity(None, unit=""),
        "n_eff": 34.2,
        "relative_error_he_zhu_mo": 0.63,
        "n_hops": 120,
        "site_distance": 2.85,
        "window_ps": [1.0, 10.0],
        "runs": [{"file": f"r{k}.h5", "n_frames": 400, "skip_ps": 15.0} for k in range(2)],
        "warnings": ["MSD may still slow down at 10 ps"],
        "settings": {"estimator": "gls", "skip_ps": [15.0, 15.0], "stride": None},
    }
    attributes = {
        "observable": "msd",
        "source": "reference",
        "material": "li2s",
        "temperature_k": 800.0,
        "potential": None,
        "label": None,
        "n_runs": 2,
        "document": {**document, **changes},
    }
    datasets = {
        "lag_ps": LAG_PS,
        "msd": curve,
        "msd_xyz": np.outer([0.5, 0.3, 0.2], curve),
        "others/S": np.full(400, 0.1),
    }
    inputs = [Input("800K-r0.h5", "trajectory", "ab" * 32)]
    return Result(datasets, attributes, {}, inputs)


def line(at_k=300.0):
    kelvin = np.linspace(1200.0, at_k, 20)
    value = 1e5 * np.exp(-4000 / kelvin)
    return {
        "activation_energy": quantity(0.352, 0.323, 0.382, "eV"),
        "prefactor": quantity(2.15e-3, 1.6e-3, 3e-3),
        "conductivity": quantity(0.653, 0.283, 1.51, "mS/cm"),
        "minus_log10": quantity(0.185, -0.178, 0.548, ""),
        "at_k": at_k,
        "amplification": 7.03,
        "line": {
            "temperature_k": kelvin.tolist(),
            "value": value.tolist(),
            "low": (value / 2).tolist(),
            "high": [None] * 20,
        },
    }


def point(kelvin, d, sigma, **more):
    return {"temperature_k": kelvin, "diffusivity": d, "conductivity": sigma, **more}


def conductivity_result(source="schnet", **changes):
    collective = {
        "collective_conductivity": quantity(159.0, 85.6, 295.0, "mS/cm"),
        "haven_ratio": quantity(16.8, 9.01, 31.4, ""),
        "n_runs": 3,
    }
    cold = point(800.0, quantity(None, None, 4.1e-8), quantity(None, None, 7.7, "mS/cm"))
    cold |= {"collective_conductivity": quantity(None, unit="mS/cm"), "n_runs": 2}
    sigma = quantity(2670.0, 2370.0, 3010.0, "mS/cm")
    warm = point(1000.0, quantity(3.55e-5, 3.15e-5, 4e-5), sigma, **collective)
    usual = [point(1000.0, quantity(3.37e-5), quantity(2500.0, unit="mS/cm"))]
    ratio = {"temperature_k": 1000.0, "ratio": 2.12, "low": 1.62, "high": 2.76, "p": 9.7e-6}
    bound = {"temperature_k": 800.0, "ratio": None, "low": None, "high": 0.31, "p": None}
    document = {
        "species": "Li",
        "charge": 1.0,
        "temperatures": [cold, warm],
        "arrhenius": line(),
        "warnings": ["bounds at 800 K enter the line as censored data"],
        "settings": {"at": 300.0, "skip_ps": {"800": [15.0, 15.0], "1000": [12.5, 15.0]}},
        "paper": {"recipe": "smoothed=False", "temperatures": usual, "arrhenius": line()},
        "comparison": {
            "reference": "reference: li2s",
            "temperatures": [bound, ratio],
            "ratio": quantity(1.64, 1.39, 1.93, "1"),
            "energy_difference": quantity(-0.067, -0.12, -0.011, "eV"),
            "p": 0.0012,
            "resolved": True,
            "at": {"temperature_k": 300.0, "ratio": 11.6, "low": 3.26, "high": 41.2, "p": 6e-4},
            "failure_mode": "frozen",
        },
    }
    attributes = {
        "observable": "conductivity",
        "source": source,
        "material": "li2s",
        "potential": None,
        "label": None,
        "document": {**document, **changes},
    }
    return Result({}, attributes, {}, [Input("1000K-r0.h5", "trajectory", "cd" * 32)])


def outline(*sections):
    return Outline(render(Page(run="run", created="", version="1", sections=sections)))


def test_diffusion_in_one_state():
    section = msd_section("observables/reference/li2s/msd-800K.h5", msd_result())
    assert section.figure.startswith(PNG)
    found = outline(section)
    for expected in (
        "Transport in 1 material:",
        "diffusion 800 2 800 15 D 1.34 (1.05 to 1.72)×10⁻⁵ cm²/s",
        "Diffusion of Li in li2s, 800 K, reference",
        "MSD may still slow down at 10 ps",
        "D 1.34×10⁻⁵ 1.05×10⁻⁵ 1.72×10⁻⁵ cm²/s",
        "D along c 2.50×10⁻⁵",
        "D collective < 4.10×10⁻⁸ – – cm²/s",
        "Haven ratio not resolved – –",
        "Lags 1 to 10 ps; N_eff 34.2 (relative error by He, Zhu and Mo 63%); 120 hops of 2.85 Å",
        "stride by default",
        "800K-r0.h5 " + "ab" * 32,
        section.file,
    ):
        assert expected in found.words
    assert "Structure of" not in found.words


def test_a_bound_is_no_value():
    words = outline(msd_section("m.h5", msd_result(diffusivity=quantity(None, None, 4e-8)))).words
    assert "15 D < 4.00×10⁻⁸ cm²/s" in words
    words = outline(msd_section("m.h5", msd_result(diffusivity=quantity(None)))).words
    assert "15 D not resolved" in words


def test_unknown_temperature_is_said():
    result = msd_result()
    result.attributes["temperature_k"] = None
    assert "li2s, temperature unknown, reference" in outline(msd_section("m.h5", result)).words


def test_conductivity():
    section = conductivity_section(
        "c.h5", conductivity_result(), [conductivity_result("reference")]
    )
    assert section.figure.startswith(PNG)
    words = outline(section).words
    for expected in (
        "conductivity 800–1000 5 – 12.5, 15 σ(300 K) 0.653 (0.283 to 1.51) mS/cm",
        "800 < 4.10×10⁻⁸ < 7.7 not resolved –",
        "1000 3.55 (3.15 to 4.00)×10⁻⁵ 2670 (2370 to 3010) 159 (85.6 to 295) 16.8 (9.01 to 31.4)",
        "activation energy 0.352 0.323 0.382 eV",
        "−log10 σ at 300 K 0.185 −0.178 0.548",
        "grow 7.03 times at 300 K",
        "different from reference: li2s (p = 1.20×10⁻³); frozen.",
        "800 K < 0.31 – – –",
        "1000 K 2.12 1.62 2.76 9.70×10⁻⁶",
        "300 K (lines) 11.6 3.26 41.2",
        "energies −0.067 (−0.12 to −0.011) eV",
        "The usual recipe beside ours: smoothed=False.",
        "D at 1000 K 3.55×10⁻⁵ 3.37×10⁻⁵ cm²/s",
        "bounds at 800 K enter the line as censored data",
    ):
        assert expected in words


def test_the_figure_shows_what_stands_beside():
    result = conductivity_result()
    alone = conductivity_section("c.h5", result).figure
    assert conductivity_section("c.h5", result, [conductivity_result("x")]).figure != alone


def test_conductivity_without_line_recipe_and_reference():
    result = conductivity_result(arrhenius=None, paper=None, comparison=None)
    words = outline(conductivity_section("c.h5", result)).words
    assert "no Arrhenius line" in words
    for absent in ("activation energy", "recipe", "from reference"):
        assert absent not in words


ENDED = [{"temperature_k": t, "reasons": ["r0.h5: exploded"]} for t in (1200.0, 900.0)]
NOTHING: dict = {
    "reference": "reference: li2s",
    "temperatures": [],
    **dict.fromkeys(("ratio", "energy_difference", "p", "at")),
    "resolved": False,
    "failure_mode": "ended early",
}


def test_no_run_of_a_model_reaches_its_end():
    settings = {"at": 300.0, "skip_ps": {}}
    paper = {"recipe": "smoothed=False", "temperatures": [], "arrhenius": None}
    result = conductivity_result(
        temperatures=[], ended_early=ENDED, arrhenius=None, comparison=NOTHING, paper=paper,
        settings=settings, warnings=["900 K: ended early: r0.h5: exploded"],
    )  # fmt: skip
    section = conductivity_section("c.h5", result, [conductivity_result("reference")])
    assert section.figure.startswith(PNG)
    words = outline(section).words
    for expected in (
        "conductivity 900–1200 0 – – no value: ended early",
        "900 ended early – – – 1200 ended early – – –",
        "900 K: ended early: r0.h5: exploded",
        "no value to hold against reference: li2s; ended early.",
    ):
        assert expected in words
    for absent in ("no difference", "D over", "recipe", "activation energy"):
        assert absent not in words
    assert conductivity_section("c.h5", result).figure.startswith(PNG)


def test_some_temperatures_of_a_model_ended_early():
    found = conductivity_section("c.h5", conductivity_result(ended_early=ENDED))
    words = outline(found).words
    assert "conductivity 800–1200 5 – 12.5, 15 σ(300 K) 0.653" in words
    known = [(row.temperature_k, row.ended_early) for row in found.temperatures]
    assert known == [(800.0, False), (900.0, True), (1000.0, False), (1200.0, True)]
    without = conductivity_section("c.h5", conductivity_result())
    assert found.figure != without.figure


@pytest.mark.parametrize("ended", ([], None, [900.0], [{}], [{"temperature_k": 0.0}]))
def test_no_temperatures_at_all_are_damage(ended):
    result = conductivity_result(temperatures=[], ended_early=ended)
    with pytest.raises((KeyError, TypeError, ValueError)):
        conductivity_section("c.h5", result)


@pytest.mark.parametrize(
    "make, build, key",
    (
        (msd_result, msd_section, "source"),
        (conductivity_result, conductivity_section, "label"),
        (conductivity_result, conductivity_section, "potential"),
    ),
)
def test_synthetic_is_told_by_any_of_three_places(make, build, key):
    result = make()
    result.attributes[key] = "Synthetic"
    assert "not a material" in outline(build("x.h5", result)).words
    result.attributes[key] = "measured"
    assert "not a material" not in outline(build("x.h5", result)).words


def test_conductivity_stands_before_structure_and_diffusion():
    rdf = RdfSection(
        file="rdf.h5",
        material="li2s",
        source="reference",
        temperature_k=800.0,
        n_runs=2,
        n_frames=350,
        skip_ps=[7.5],
        synthetic=False,
        figure=PNG,
        peaks=[Peak("total", 2.5, 3.2, 10.5, 10.5)],
        comparison=None,
        settings={},
        inputs=[],
    )
    conducting = conductivity_section("c.h5", conductivity_result("reference"))
    found = outline(msd_section("m.h5", msd_result()), conducting, rdf)
    titles = [found.words.rindex(name) for name in ("Conductivity of", "g(r) of", "Diffusion of")]
    assert titles == sorted(titles)
    assert {"#g1", "#g2", "#g3"} <= set(found.values("href"))
    assert "Structure of 1 material from 2 trajectories with 350 frames" in found.words


def test_nothing_from_a_stranger_becomes_markup():
    diffusing = msd_result(species=HOSTILE, warnings=[HOSTILE], settings={HOSTILE: HOSTILE})
    conducting = conductivity_result(species=HOSTILE, warnings=[HOSTILE])
    document = conducting.attributes["document"]
    document["comparison"] |= {"reference": HOSTILE, "failure_mode": HOSTILE}
    document["comparison"]["energy_difference"]["unit"] = HOSTILE
    document["paper"]["recipe"] = HOSTILE
    for key in ("conductivity", "prefactor"):
        document["arrhenius"][key]["unit"] = HOSTILE
    for result in (diffusing, conducting):
        result.attributes.update(material=HOSTILE, source=HOSTILE)
    sections = [msd_section(HOSTILE, diffusing), conductivity_section(HOSTILE, conducting)]
    text = render(Page(run="run", created="", version="1", sections=sections))
    assert "<script" not in text
    assert Outline(text).words.count("alert") >= 20


def places(value, found=()):
    """Every place in a document, as keys that lead to it."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in inside:
        yield (*found, key)
        if isinstance(part, dict | list):
            yield from places(part, (*found, key))


@pytest.mark.parametrize(
    "make, build",
    (
        (msd_result, msd_section),
        (partial(conductivity_result, ended_early=ENDED), conductivity_section),
    ),
)
@pytest.mark.parametrize("damage", (None, [], "text", {}, float("nan")))
def test_damage_is_told_before_the_page_is_made(make, build, damage, monkeypatch):
    """Either one of three errors, or a section that can be shown."""
    for name in ("png", "msd_figure", "arrhenius_figure"):
        monkeypatch.setattr(f"mdbench.reporting.transport_sections.{name}", lambda _: PNG)
    whole = make()
    refused = []
    for place in places(whole.attributes):
        result = copy.deepcopy(whole)
        parent = result.attributes
        for key in place[:-1]:
            parent = parent[key]
        parent[place[-1]] = damage
        try:
            section = build("x.h5", result)
        except (KeyError, TypeError, ValueError):
            refused.append(place)
        else:
            outline(section)
    assert len(refused) > 20
    assert ("document",) in refused


@pytest.mark.parametrize(
    "make, build, key",
    (
        (msd_result, msd_section, "diffusivity"),
        (msd_result, msd_section, "window_ps"),
        (msd_result, msd_section, "diffusivity_tensor"),
        (msd_result, msd_section, "fit"),
        (conductivity_result, conductivity_section, "temperatures"),
        (conductivity_result, conductivity_section, "arrhenius"),
    ),
)
def test_what_is_missing_is_named(make, build, key):
    result = make()
    del result.attributes["document"][key]
    with pytest.raises(KeyError, match=key):
        build("x.h5", result)


@pytest.mark.parametrize(
    "name, values",
    (
        ("lag_ps", LAG_PS[:-1]),
        ("lag_ps", np.zeros(())),
        ("msd_xyz", np.zeros((2, 400))),
        ("others/S", np.zeros(3)),
    ),
)
def test_arrays_of_other_lengths_are_refused(name, values):
    result = msd_result()
    result.datasets[name] = values
    with pytest.raises(ValueError, match="lags"):
        msd_section("m.h5", result)


def test_what_the_stages_write_is_shown(tmp_path):
    sides: dict[str, list[Path]] = {"model": [], "reference": []}
    for seed, (name, paths) in enumerate(sides.items()):
        for kelvin in (800.0, 1000.0):
            rng = np.random.default_rng(seed)
            run = ion_conductor(HoppingModel(), 400, rng, temperature_k=kelvin)
            paths.append(tmp_path / f"{name}-{kelvin:g}K-r0.h5")
            write_trajectory(paths[-1], run)
    paths = sides["model"]
    msd.run(paths[:1], MsdConfig(), output=tmp_path / "msd.h5")
    rng = np.random.default_rng(9)
    broken = tmp_path / "broken.h5"
    ended = ion_conductor(HoppingModel(), 10, rng, temperature_k=800.0)
    provenance = replace(ended.provenance, end_reason="exploded", label="broken")
    write_trajectory(broken, replace(ended, provenance=provenance))
    config = ConductivityConfig(paper=True)
    for name, files in (("c.h5", paths), ("e.h5", [broken])):
        conductivity.run(files, config, references=sides["reference"], output=tmp_path / name)
    diffusing, conducting, failed = (
        read_result(tmp_path / name, "observables") for name in ("msd.h5", "c.h5", "e.h5")
    )
    found = outline(
        msd_section("msd.h5", diffusing),
        conductivity_section("c.h5", conducting, [conducting]),
        conductivity_section("e.h5", failed, [conducting]),
    )
    assert "Diffusion of Li in Li-S hopping model, 800 K" in found.words
    assert "no difference resolved from" in found.words
    assert "conductivity 800 0 – – no value: ended early" in found.words
    assert "800 K: ended early: broken.h5: exploded" in found.words
    assert "Synthetic sample data: not a material." in found.words


def test_numbers_have_three_digits():
    shown = {1256.0: "1260", -0.0123: "−0.0123", 3.14159e-7: "3.14×10⁻⁷", -2e12: "−2.00×10¹²"}
    assert {x: plain_number(x) for x in shown} == shown
    assert plain_number(np.inf) == "∞"
