"""The parity figure: which panels there are, and what stands in them."""

import numpy as np
import pytest

from mdbench.reporting.accuracy_figure import ParityPoints, accuracy_figure
from mdbench.reporting.figures import save
from mdbench.stats import Estimate


def points(elements=("Li", "S"), n_frames=50, n=400, scale=1.0, offset=0.0, seed=0):
    rng = np.random.default_rng(seed)
    energies, forces = rng.normal(-4000.0, 20.0, n_frames), rng.standard_normal(n)
    return ParityPoints(
        title="schnet-s0: lgps, 50 frames",
        energies=scale * energies + offset,
        reference_energies=energies,
        temperatures_k=np.where(np.arange(n_frames) % 2, 800.0, 1000.0),
        forces=scale * forces,
        reference_forces=forces,
        elements=np.array(elements)[np.arange(n) % len(elements)],
        energy_mae=Estimate(1.234, 1.1, 1.5, "meV/atom"),
        force_mae={
            name: Estimate(50.0 + i, None, None, "meV/A")
            for i, name in enumerate(["all", *elements])
        },
    )


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def test_one_material_has_a_panel_for_each_element():
    figure = accuracy_figure([points()])
    assert titles(figure) == [
        "energy: MAE 1.23 (1.1 to 1.5) meV/atom",
        "forces: MAE 50 meV/Å",
        "Li: 51 meV/Å",
        "S: 52 meV/Å",
    ]
    assert figure.get_suptitle() == "schnet-s0: lgps, 50 frames"
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["800 K", "1000 K"]


def test_a_single_element_needs_no_panel_of_its_own():
    assert len(accuracy_figure([points(("Si",))]).axes) == 2


def test_six_elements_take_two_rows():
    figure = accuracy_figure([points(("Ge", "Li", "O", "P", "S", "Si"))])
    assert len(figure.axes) == 8


def test_several_materials_have_a_row_each():
    figure = accuracy_figure([points(), points(seed=1)])
    assert len(figure.axes) == 4
    shown = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert shown.count("schnet-s0: lgps, 50 frames") == 2


def test_energies_stand_without_their_offset():
    """A perfect model but for a constant lies on the diagonal."""
    axes = accuracy_figure([points(offset=1e5)]).axes[0]
    x, y = np.asarray(axes.collections[0].get_offsets()).T
    assert len(x) == 50
    np.testing.assert_allclose(y, x, rtol=0, atol=1e-6)
    assert axes.get_xlim() == axes.get_ylim()


def test_a_model_that_is_far_off_leaves_the_reference_in_sight():
    axes = accuracy_figure([points(scale=1e4)]).axes[1]
    low, high = axes.get_xlim()
    assert high - low < 60.0
    (note,) = (text.get_text() for text in axes.texts)
    assert note.endswith(" beyond")
    assert 300 < int(note.split()[0]) <= 400


@pytest.mark.parametrize(
    "shown", [points(), points(n_frames=1, n=3), points(scale=0.0), points(n=2)]
)
def test_all_of_them_can_be_drawn(shown, tmp_path):
    save(accuracy_figure([shown]), tmp_path / "parity.svg")
    assert (tmp_path / "parity.svg").stat().st_size > 5000


def test_unknown_temperatures_are_gray():
    shown = points()
    unknown = ParityPoints(**{**vars(shown), "temperatures_k": np.full(50, np.nan)})
    axes = accuracy_figure([unknown]).axes[0]
    assert axes.get_legend() is None
    colors = np.unique(axes.collections[0].get_facecolors()[:, :3], axis=0)
    np.testing.assert_allclose(colors, [[0.5, 0.5, 0.5]], rtol=1e-9, atol=0)
