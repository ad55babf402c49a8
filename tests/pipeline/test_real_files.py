"""Every real file at hand: what must come of it, or what must be said about it."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from ase.formula import Formula

from mdbench.store import read_trajectory

FS = "--frame-interval-fs"


@dataclass(frozen=True)
class Read:
    """What a file holds.

    Attributes:
        formula: Reduced, in any order.
        atoms, frames, length_ps: Size of the run.
        first: Position of the first atom in the first frame, Å.
        options: What the file does not say.
        notes: What must be said while reading.
        fields: What is stored beside positions.
        facts: Further facts of `info`.
        exact: Largest error of the first position, Å (the digits it was noted with).
    """

    formula: str
    atoms: int
    frames: int
    length_ps: float
    first: tuple[float, float, float]
    options: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    facts: tuple[tuple[str, object], ...] = ()
    exact: float = 2e-6


@dataclass(frozen=True)
class Refused:
    """What the one line says.

    Attributes:
        words: Parts of it.
        options: What was given.
    """

    words: tuple[str, ...]
    options: tuple[str, ...] = ()


MLMD = ("energies", "forces", "velocities", "stresses")
VASP = ("energies", "forces", "stresses")
BAZRO = (FS, "5")
TRUE_K = "the velocities say {} K, its name says {} K"
UNKNOWN = ("unknown kind of file",)

FILES: dict[str, Read | Refused] = {
    "Li6PS5Cl_50p_run1.XDATCAR.gz": Read(
        "Li6PS5Cl", 416, 140, 13.9, (0.229052, 2.917375, 6.937838), (FS, "100")
    ),
    "Li6PS5Cl_50p_run2.XDATCAR.gz": Read(
        "Li6PS5Cl", 416, 140, 13.9, (0.618121, 6.700628, 4.218483), (FS, "100")
    ),
    "Li6PS5I_100p_run1.XDATCAR.gz": Read(
        "Li6PS5I", 416, 100, 9.9, (1.557912, 18.768915, 19.694842), (FS, "100")
    ),
    "cNa3PS4_pda.json": Refused(UNKNOWN),
    "cNa3PS4.cif": Refused(UNKNOWN),
    "cNa3PS4_trajectories.npy": Refused(UNKNOWN),
    "LGPS_bad_random_seed.vasprun.xml.gz": Read(
        "Li10GeP2S12", 50, 264, 0.526, (8.334691, 4.163329, 12.340549), fields=VASP,
        facts=(("temperature_k", 800.0), ("timestep_fs", 2.0), ("code", "VASP 6.3.0")),
    ),
    "Si64.md.vasprun.xml.gz": Read(
        "Si", 64, 10, 0.027, (0, 0, 0), fields=VASP,
        facts=(("temperature_k", 2000.0), ("timestep_fs", 3.0)),
    ),
    "ML_MD.vasprun.xml.gz": Read(
        "H2C2O", 80, 100, 0.099, (5.219713, 0.467814, 17.6244),
        facts=(("temperature_k", 300.0), ("timestep_fs", 1.0)), fields=("energies", "forces"),
    ),
    "LiFePO4.relax_variable_cell.vasprun.xml.gz": Read(
        "LiFePO4", 112, 11, 0.0, (10.33071, 0.008003, 9.456776), (FS, "0"), fields=VASP,
    ),
    "LiFePO4_truncated.vasprun.xml.gz": Read(
        "LiFe4P4O16", 25, 1, 0.0, (9.937934, 0.033872, 0.122821),
        notes=("1 complete step",), fields=VASP,
    ),
    "molten_Fe2O3.XDATCAR": Read(
        "Fe2O3", 80, 5, 0.008, (8.050021, 4.188667, 3.680013), (FS, "2")
    ),
    "Fe2TiO4_variable_cell.XDATCAR": Read(
        "TiFe2O4", 7, 4, 0.0, (1.0475, 3.1425, -3.1425), (FS, "0"), exact=5e-5
    ),
    "LiSi_labelled_coords.XDATCAR": Read("LiSi", 76, 100, 0.198, (0, 0, 0), (FS, "2"), exact=100),
    "NaCl_800K.XDATCAR": Read(
        "NaCl", 216, 40, 0.078, (16.884031, 0.073079, 0.048695), (FS, "2"),
    ),
    "LLZO_ok.XDATCAR": Read(
        "Li55La24Zr16O96", 382, 2, 0.015, (6.6, 0.0, 22.1375), (FS, "15"), exact=5e-5
    ),
    "LLZO_scale_wrong.XDATCAR": Refused(("line 2", "scale")),
    "LLZO_cell_wrong.XDATCAR": Refused(("line 3", "cell 0.0 0.0")),
    "LLZO_composition_wrong.XDATCAR": Refused(("line 6", "elements")),
    "LLZO_pos_wrong.XDATCAR": Refused(("line 390", "frame 0", "atom 381"), (FS, "15")),
    "H2O_md10.OUTCAR": Read(
        "H2O", 6, 10, 0.009, (4.34854, 4.20903, 5.2), fields=VASP, exact=1e-5
    ),
    "H2O_md10.vasprun.xml": Read(
        "H2O", 6, 10, 0.009, (4.348539, 4.20903, 5.2), fields=VASP
    ),
    "Al31_1200K_unwrapped.lammpstrj": Read(
        "Al", 31, 501, 500.0, (0, 0, 0), ("--species", "Al", FS, "1000"),
        notes=("1200 K",),
    ),
    "triclinic_scaled_unwrapped.lammpsdump": Read(
        "Al", 81, 6, 1.0, (0.702251, 0.697741, 0.0),
        ("--species", "1=Al", "--timestep-fs", "1"), fields=("forces",),
    ),
    "TATB_triclinic.lammpsdump": Read(
        "HCNO", 384, 1, 0.0, (-1.54861, 11.2503, 5.49299), ("--species", "1=C,2=H,3=N,4=O"),
        exact=1e-5,
    ),
    "polymer_wrapped_images.lammpstrj.gz": Read(
        "Na10C837H10", 1714, 42, 41 * 0.5, (51.8474, 100.348, 116.516),
        ("--species", "1=H,2=C,3=Na", "--timestep-fs", "1"), exact=1e-4,
    ),
    "NaCl_scaled_noid.lammpstrj": Refused(("no atom ids", "--constant-order")),
    "Si64_forces.extxyz": Read(
        "Si", 64, 110, 0.109, (0, 0, 0), (FS, "1"), fields=VASP,
    ),
    "BaZrYO3H_800K.traj": Read(
        "Ba8YZr7H2O24", 42, 1000, 4.995, (0.049991, -0.216005, -0.03303), BAZRO,
        (TRUE_K.format(711, 800), "800 K in the name not stored"), MLMD, (("temperature_k", None),),
    ),
    "BaZrYO3H_900K.traj": Read(
        "Ba8YZr7HO24", 41, 1000, 4.995, (-0.128024, -0.171574, 0.029909), BAZRO,
        (TRUE_K.format(713, 900), "900 K in the name not stored"), MLMD, (("temperature_k", None),),
    ),
    "BaZrYO3H_1000K.traj": Read(
        "Ba8YZr7H2O24", 42, 1000, 4.995, (0.049049, -0.23099, -0.046497), BAZRO,
        (TRUE_K.format(1123, 1000),), MLMD, (("temperature_k", None),),
    ),
    "CP2K_npt_f.pos-1.xyz": Read(
        "H4CN5O2", 192, 11, 0.005, (9.32017, 4.866137, 1.20698), fields=("energies", "forces"),
    ),
    "CP2K_npt_f.frc-1.xyz": Refused(("forces", "CP2K_npt_f.pos-1.xyz")),
    "CP2K_npt_f.cell": Refused((".cell file", "CP2K_npt_f.pos-1.xyz")),
    "CP2K_npt.pos-1.xyz.gz": Read(
        "CsPbBr3", 540, 101, 2.5, (-8.824801, 15.994902, -0.360734),
        notes=("219.7 K",), fields=("energies",),
    ),
    "CP2K_npt.cell": Refused((".cell file", "CP2K_npt.pos-1.xyz.gz")),
    "CP2K_npt.ener": Refused((".ener file", "CP2K_npt.pos-1.xyz.gz")),
    "CP2K_reftraj_notime.pos-1.xyz.gz": Refused(
        ("not a time series", FS + " 0"), ("--cell", "10.451,12.068,39.754")
    ),
    "fused_numbers.XDATCAR.gz": Read("LiCo2O4", 7, 3, 0.0, (0, 0, 0), (FS, "0"), exact=100),
    "Cu108_znh5md.h5md": Read(
        "Cu", 108, 20, 0.019, (0.078849, -0.030096, -0.023604), fields=("energies", "forces"),
    ),
}  # fmt: skip


def test_every_file_is_in_the_table(real_data) -> None:
    assert {path.name for path in real_data.iterdir()} == set(FILES)


READ = {name: expected for name, expected in FILES.items() if isinstance(expected, Read)}
REFUSED = {name: expected for name, expected in FILES.items() if isinstance(expected, Refused)}


@pytest.mark.parametrize(("name", "expected"), READ.items(), ids=READ)
def test_read(name, expected, real_data, tmp_path, mdbench) -> None:
    output = tmp_path / "out.h5"
    done = mdbench("ingest", real_data / name, "-o", output, "--float64", *expected.options)
    assert done.status == 0, done
    facts = json.loads(mdbench("info", output, "--json").out)
    assert (facts["atoms"], facts["frames"]) == (expected.atoms, expected.frames)
    assert Formula(facts["formula"]).count() == Formula(expected.formula).count()
    assert abs(facts["length_ps"] - expected.length_ps) < 1e-9
    first = read_trajectory(output, slice(0, 1)).positions[0, 0]
    assert np.abs(first - expected.first).max() <= expected.exact
    assert set(facts["also_stored"]) == set(expected.fields)
    for key, value in expected.facts:
        assert facts[key] == value, key
    for words in expected.notes:
        assert words in done.err
        assert any(words in note for note in facts["notes"])


@pytest.mark.parametrize(("name", "expected"), REFUSED.items(), ids=REFUSED)
def test_refused(name, expected, real_data, tmp_path, mdbench) -> None:
    source = real_data / name
    done = mdbench("ingest", source, "-o", tmp_path / "out.h5", *expected.options)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"mdbench: error: {source}: ")
    assert done.err.count("\n") == 1
    for word in expected.words:
        assert word in done.err
    assert not list(tmp_path.iterdir())


TOLD = {
    "Al31_1200K_unwrapped.lammpstrj": "--species",
    "triclinic_scaled_unwrapped.lammpsdump": "--species",
    "TATB_triclinic.lammpsdump": "--species",
    "polymer_wrapped_images.lammpstrj.gz": "--species",
    "LiFePO4.relax_variable_cell.vasprun.xml.gz": "not a time series",
    "CP2K_reftraj_notime.pos-1.xyz.gz": "--cell",
    **dict.fromkeys(
        (name for name, entry in READ.items() if entry.options[:1] == (FS,) and "vasp" not in name),
        FS,
    ),
}


@pytest.mark.parametrize(("name", "word"), TOLD.items(), ids=TOLD)
def test_what_a_file_does_not_say_is_asked_for(name, word, real_data, tmp_path, mdbench) -> None:
    done = mdbench("ingest", real_data / name, "-o", tmp_path / "out.h5")
    assert done.status == 2
    assert word in done.err
    assert done.err.count("\n") == 1


def ingested(mdbench, source, output, *options):
    done = mdbench("ingest", source, "-o", output, "--float64", *options)
    assert done.status == 0, done
    return read_trajectory(output)


def test_nacl_without_ids_in_constant_order(real_data, tmp_path, mdbench) -> None:
    """Numbers that the origin of the file asserts; the box does not begin at zero."""
    run = ingested(
        mdbench, real_data / "NaCl_scaled_noid.lammpstrj", tmp_path / "out.h5",
        "--constant-order", "--species", ",".join(["Na"] * 256 + ["Cl"] * 256), FS, "1",
    )  # fmt: skip
    assert (run.n_frames, run.n_atoms) == (6, 512)
    for frame, atom, place in (
        (0, 0, (0, 0, 0)),
        (0, 222, (14.1005, 0.0, 8.4603)),
        (5, 0, (0.095924, -0.0222584, -0.0152489)),
        (5, 222, (14.0788, 0.0954186, 8.56453)),
    ):
        assert np.abs(run.positions[frame, atom] - place).max() < 1e-3
    speed = run.velocities[0, 222] * 1e3
    assert np.abs(speed - (-0.00466812, -0.00196397, -0.000147051)).max() < 1e-8


def test_polymer_is_unwrapped_by_its_image_flags(real_data, tmp_path, mdbench) -> None:
    """Numbers that the origin of the file asserts."""
    run = ingested(
        mdbench, real_data / "polymer_wrapped_images.lammpstrj.gz", tmp_path / "out.h5",
        "--species", "1=H,2=C,3=Na", "--timestep-fs", "1",
    )  # fmt: skip
    for atom, place in (
        (0, (51.8474, 100.348, 116.516)),
        (1189, (116.829, 91.2404, 79.8858)),
        (1327, (173.311, 87.853, 109.417)),
    ):
        assert np.abs(run.positions[0, atom] - place).max() < 1e-3


def test_outcar_and_vasprun_of_one_run_agree(real_data, tmp_path, mdbench) -> None:
    outcar = ingested(mdbench, real_data / "H2O_md10.OUTCAR", tmp_path / "a.h5")
    vasprun = ingested(mdbench, real_data / "H2O_md10.vasprun.xml", tmp_path / "b.h5")
    for name, exact in (
        ("positions", 1.1e-5), ("forces", 1.1e-6), ("energies", 1.1e-8), ("cells", 1.1e-8),
        ("times_ps", 1e-12), ("stresses", 1e-7),
    ):  # fmt: skip
        assert np.abs(getattr(outcar, name) - getattr(vasprun, name)).max() < exact, name


def test_energies_that_others_assert(real_data, tmp_path, mdbench) -> None:
    """Free energies, which the forces are derivatives of; VASP prints eight decimals."""
    learned = ingested(mdbench, real_data / "ML_MD.vasprun.xml.gz", tmp_path / "b.h5")
    silicon = ingested(mdbench, real_data / "Si64_forces.extxyz", tmp_path / "c.h5", FS, "1")
    iron = ingested(mdbench, real_data / "LiFePO4_truncated.vasprun.xml.gz", tmp_path / "d.h5")
    assert learned.energies[-1] == -524.69015916
    assert silicon.energies[0] == -8324.287843648983
    assert abs(iron.energies[0] - -269.00551374) < 0.05  # theirs is without smearing


def test_cells_of_the_cp2k_runs(real_data, tmp_path, mdbench) -> None:
    growing = ingested(mdbench, real_data / "CP2K_npt.pos-1.xyz.gz", tmp_path / "a.h5")
    assert np.abs(growing.volumes[[0, -1]] - (27286.3276, 36350.2658)).max() < 1e-3
    flexible = ingested(mdbench, real_data / "CP2K_npt_f.pos-1.xyz", tmp_path / "b.h5")
    assert np.abs(flexible.cells[0, 2] - (-1.15989082, 0.0, 13.07103802)).max() < 1e-9


def test_aluminium_msd(real_data, tmp_path, mdbench) -> None:
    """Mean squared displacements that were computed by others from the same file."""
    run = ingested(
        mdbench, real_data / "Al31_1200K_unwrapped.lammpstrj", tmp_path / "a.h5",
        "--species", "Al", FS, "1000",
    )  # fmt: skip
    for lag, msd in ((10, 0.6843), (50, 2.5019), (100, 4.9604)):
        moved = run.positions[lag:] - run.positions[:-lag]
        assert abs((moved**2).sum(axis=2).mean() - msd) < 1e-4


@pytest.mark.parametrize(("run", "lags"), [
    ("run1", {1: 0.46957, 10: 1.0866, 70: 6.83115, 139: 11.81371}),
    ("run2", {1: 0.52441, 10: 2.1301, 70: 6.46375, 139: 11.29567}),
])  # fmt: skip
def test_argyrodite_displacements(run, lags, real_data, tmp_path, mdbench) -> None:
    """Li displacements from the first frame, drift of the framework removed, by pymatgen."""
    source = real_data / f"Li6PS5Cl_50p_{run}.XDATCAR.gz"
    stored = ingested(mdbench, source, tmp_path / "a.h5", FS, "100")
    mobile = stored.atomic_numbers == 3
    moved = stored.positions - stored.positions[:1]
    moved -= moved[:, ~mobile].mean(axis=1, keepdims=True)
    for lag, msd in lags.items():
        assert abs((moved[lag, mobile] ** 2).sum(axis=1).mean() - msd) < 2e-4 * msd


def test_continuation_runs_in_order_and_in_the_wrong_order(real_data, tmp_path, mdbench) -> None:
    """The second file goes on where the first ends; the other way round all atoms jump."""
    first, second = (real_data / f"Li6PS5Cl_50p_run{i}.XDATCAR.gz" for i in (1, 2))
    done = mdbench("ingest", first, second, "-o", tmp_path / "out.h5", FS, "100")
    assert (done.status, done.err) == (0, "")
    moved = np.diff(read_trajectory(tmp_path / "out.h5").positions, axis=0)
    rms = np.sqrt((moved**2).sum(axis=2).mean(axis=1))
    assert 0.9 < rms[139] / np.median(rms) < 1.1
    wrong = mdbench("ingest", second, first, "-o", tmp_path / "wrong.h5", FS, "100")
    assert wrong.status == 2
    assert f"{first}: frame 140" in wrong.err
    assert not (tmp_path / "wrong.h5").exists()
