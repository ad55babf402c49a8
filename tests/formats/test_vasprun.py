"""vasprun.xml against a naive twin, pymatgen and ASE, and with every kind of damage."""

import gzip
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.formats import vasprun
from mdbench.formats._stream import ByteStream
from mdbench.formats.base import Hints
from mdbench.formats.vasprun import looks_like_vasprun, open_vasprun
from mdbench.units import KBAR_IN_EV_PER_ANGSTROM3

CELL = np.array([[4.1, 0.0, 0.0], [-0.3, 5.2, 0.0], [0.25, -0.75, 6.3]])
MD = {"IBRION": "0", "NSW": "100", "POTIM": "2.0", "TEBEG": "800.0", "TEEND": "800.0"}


def varray(name, rows):
    lines = "".join("<v> " + " ".join(f"{x:16.8f}" for x in row) + " </v>\n" for row in rows)
    return f'<varray name="{name}" >\n{lines}</varray>\n'


def structure(cell, scaled, *, name="", inside=""):
    inner = f"<crystal>\n{varray('basis', cell)}{varray('rec_basis', np.linalg.inv(cell).T)}"
    inner += f"</crystal>\n{varray('positions', scaled)}{inside}"
    return f"<structure{name}>\n{inner}</structure>\n"


def energy(value):
    lines = "".join(
        f'<i name="{name}">{v:16.8f} </i>\n'
        for name, v in {"e_fr_energy": value, "e_wo_entrp": value + 1, "e_0_energy": 0.0}.items()
    )
    return f"<energy>\n{lines}</energy>\n"


def step(seed, n_atoms, *, learned=False, inside="", stress=True):
    generator = np.random.default_rng(seed)
    scaled, forces = generator.random((n_atoms, 3)), generator.normal(size=(n_atoms, 3))
    body = structure(CELL + seed * 1e-3, scaled, inside=inside) + varray("forces", forces)
    if stress:
        body += varray("stress", 10 * generator.normal(size=(3, 3)))
    body += energy(-20.0 - generator.random())
    scf = f"<scstep>\n<time>1 2</time>\n{energy(7.0)}</scstep>\n"
    return body if learned else f"<calculation>\n{scf}{body}</calculation>\n"


def document(
    steps, symbols=("Li", "P ", "S ", "S "), tags=MD, version="6.3.0", end="</modeling>\n"
):
    entries = "".join(f'<i name="{name}">{value}</i>\n' for name, value in tags.items())
    atoms = "".join(f"<rc><c>{s}</c><c> 1</c></rc>\n" for s in symbols)
    primitive, initial, final = (
        structure(CELL, np.full((len(symbols), 3), 0.5), name=f' name="{name}" ')
        for name in ("primitive_cell", "initialpos", "finalpos")
    )
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n<generator>\n'
        '<i name="program" type="string">vasp </i>\n'
        f'<i name="version" type="string">{version}</i>\n</generator>\n<incar>\n{entries}'
        '<v type="int" name="RANDOM_SEED">****** 0 0</v>\n</incar>\n'
        f"<primitive_cell>\n{primitive}</primitive_cell>\n"
        f"<kpoints>\n{varray('kpointlist', np.zeros((1, 3)))}"
        '<varray name="weights" >\n<v> 1.0 </v>\n</varray>\n</kpoints>\n'
        f"<parameters>\n<separator>\n{entries}</separator>\n</parameters>\n"
        f"<atominfo>\n<atoms> {len(symbols)} </atoms>\n<types> 3 </types>\n"
        '<array name="atoms" >\n<dimension dim="1">ion</dimension>\n'
        f'<set>\n{atoms}</set>\n</array>\n<array name="atomtypes" >\n<set>\n</set>\n</array>\n'
        f"</atominfo>\n{initial}{''.join(steps)}{final + end if end else ''}"
    )


def group(pattern, text):
    match = re.search(pattern, text, re.DOTALL)
    assert match is not None
    return match[1]


def naive(text):
    """Numbers of every step, token by token with `float`."""
    frames = []
    for chunk in re.split(r"<structure>", text)[1:]:
        frame = {}
        for name in ("basis", "positions", "forces", "stress"):
            rows = re.search(rf'<varray name="{name}" >(.*?)</varray>', chunk, re.DOTALL)
            if rows:
                tokens = re.sub(r"<[^>]*>", " ", rows[1]).split()
                frame[name] = np.array([float(t) for t in tokens]).reshape(-1, 3)
        frame["energy"] = np.array(float(group(r'"e_fr_energy">([^<]*)<', chunk)))
        frames.append(frame)
    return frames


def write(folder, text, name="vasprun.xml"):
    path = Path(folder, name)
    path.write_bytes(text if isinstance(text, bytes) else text.encode("latin-1"))
    return path


def read(path, hints=None):
    source = open_vasprun(path, hints or Hints())
    return source, list(source.blocks)


def joined(blocks, name):
    return np.concatenate([getattr(b, name) for b in blocks])


def check_against_twin(blocks, text, n=None):
    frames = naive(text)[:n]
    assert_array_equal(joined(blocks, "coordinates"), [f["positions"] for f in frames])
    assert_array_equal(joined(blocks, "cells"), [f["basis"] for f in frames])
    assert_array_equal(joined(blocks, "forces"), [f["forces"] for f in frames])
    assert_array_equal(joined(blocks, "energies"), [f["energy"] for f in frames])
    kbar = np.array([f["stress"] for f in frames])
    assert_allclose(
        joined(blocks, "stresses"), -KBAR_IN_EV_PER_ANGSTROM3 * kbar, rtol=1e-15, atol=0
    )


def test_equals_the_printed_digits(tmp_path):
    text = document([step(k, 4) for k in range(5)])
    source, blocks = read(write(tmp_path, text))
    check_against_twin(blocks, text)
    header = source.header
    assert_array_equal(header.atomic_numbers, [3, 15, 16, 16])
    assert header.scaled
    assert header.time_axis
    assert (header.timestep_fs, header.frame_interval_fs) == (2.0, 2.0)
    assert header.temperature_k == 800.0
    assert header.code == "VASP 6.3.0"
    assert source.notes == []
    assert source.fraction() == 1.0


@given(
    arrays(float, (2, 4, 3), elements=st.floats(-1e6, 1e6)),
    st.sampled_from(["%.8f", "%.17g", "%.30f", "%.12e", "%.3f"]),
)
@settings(max_examples=30, deadline=None)
def test_round_trip_of_any_number(tmp_path_factory, numbers, form):
    lines = [
        "".join("<v> " + " ".join(form % x for x in r) + " </v>\n" for r in f) for f in numbers
    ]
    steps = [
        re.sub(
            r'(name="positions" >\n).*?</v>\n(?=</varray>)', rf"\g<1>{new}", step(k, 4), flags=re.S
        )
        for k, new in enumerate(lines)
    ]
    text = document(steps)
    _, blocks = read(write(tmp_path_factory.mktemp("x"), text))
    check_against_twin(blocks, text)
    expected = [[[float(form % x) for x in row] for row in frame] for frame in numbers]
    assert_array_equal(joined(blocks, "coordinates"), expected)


def test_equals_pymatgen_and_ase(tmp_path):
    from ase.io import read as ase_read
    from pymatgen.io.vasp.outputs import Vasprun

    path = write(tmp_path, document([step(k, 4) for k in range(3)], tags={**MD, "NELM": "60"}))
    _, blocks = read(path)
    images = ase_read(path, index=":")
    assert len(images) == 3
    for k, atoms in enumerate(images):
        assert_array_equal(blocks[0].cells[k], atoms.cell.array)
        assert_array_equal(blocks[0].forces[k], atoms.get_forces())
        assert blocks[0].energies[k] == atoms.calc.results["free_energy"]
        stress = atoms.get_stress(voigt=False)
        upper = np.triu_indices(3)
        assert_allclose(blocks[0].stresses[k][upper], stress[upper], rtol=1e-7, atol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = Vasprun(path, parse_dos=False, parse_eigen=False, parse_potcar_file=False)
    for k, ionic in enumerate(peer.ionic_steps):
        assert_array_equal(blocks[0].coordinates[k], ionic["structure"].frac_coords)
        assert_array_equal(blocks[0].forces[k], ionic["forces"])


def test_learned_steps_between_the_ab_initio_ones(tmp_path):
    text = document([step(k, 4, learned=k % 3 != 0) for k in range(7)])
    _, blocks = read(write(tmp_path, text))
    assert sum(b.n_frames for b in blocks) == 7
    check_against_twin(blocks, text)


def test_small_pieces_and_small_blocks_change_nothing(tmp_path, monkeypatch):
    text = document([step(k, 4, learned=k % 2 == 0) for k in range(9)])
    path = write(tmp_path, text)
    monkeypatch.setattr(vasprun, "PIECE", 37)
    reads = ByteStream.read
    monkeypatch.setattr(ByteStream, "read", lambda s, size=37: reads(s, min(size, 911)))
    _, blocks = read(path)
    assert len(blocks) > 3
    check_against_twin(blocks, text)


def test_selective_dynamics_comments_and_eigenvalues_are_passed_over(tmp_path):
    selective = (
        '<varray name="selective" type="logical" >\n' + "<v> T F T</v>\n" * 4 + "</varray>\n"
    )
    junk = f"<!-- <structure> -->\n<eigenvalues>\n{'<r> 1.0 2.0 </r>' * 50}\n</eigenvalues>\n"
    text = document([step(k, 4, inside=selective) + junk for k in range(3)])
    _, blocks = read(write(tmp_path, text))
    assert sum(b.n_frames for b in blocks) == 3
    plain, _ = read(write(tmp_path, document([step(k, 4) for k in range(3)]), "plain.xml"))
    check_against_twin(blocks, document([step(k, 4) for k in range(3)]))
    assert plain.notes == []


def test_velocities_of_a_step_are_fractions_of_the_cell_per_timestep(tmp_path):
    moves = np.arange(12.0).reshape(4, 3) * 1e-3
    text = document([step(k, 4, inside=varray("velocities", moves)) for k in range(2)])
    _, blocks = read(write(tmp_path, text))
    expected = np.array([moves @ blocks[0].cells[k] / 2.0 for k in range(2)])
    assert_allclose(blocks[0].velocities[:, 1:], expected[:, 1:], rtol=1e-12, atol=0)


def test_pstress_is_taken_off_the_energy(tmp_path):
    steps = [step(0, 4)]
    _, plain = read(write(tmp_path, document(steps)))
    _, pressed = read(write(tmp_path, document(steps, tags={**MD, "PSTRESS": "12.5"})))
    work = 12.5 * KBAR_IN_EV_PER_ANGSTROM3 * np.linalg.det(plain[0].cells[0])
    assert_allclose(plain[0].energies[0] - pressed[0].energies[0], work, rtol=1e-10, atol=0)


@pytest.mark.parametrize(
    ("changes", "version", "interval", "temperature", "thermostat"),
    [
        ({}, "6.3.0", 2.0, 800.0, None),
        ({"NBLOCK": "10"}, "6.3.0", 2.0, 800.0, None),
        ({"ML_OUTBLOCK": "20"}, "6.4.2", 2.0, 800.0, None),
        ({"ML_OUTBLOCK": "20"}, "6.4.3", 40.0, 800.0, None),
        ({"TEEND": "1200.0"}, "6.3.0", 2.0, None, None),
        ({"TEBEG": "0.0001", "TEEND": "0.0001", "SMASS": "-3"}, "5.4.4", 2.0, None, "none (NVE)"),
        ({"SMASS": "0.4"}, "5.4.4", 2.0, 800.0, "Nose-Hoover"),
        ({"MDALGO": "3", "SMASS": "0"}, "6.3.0", 2.0, 800.0, "Langevin"),
        ({"MDALGO": "1", "ANDERSEN_PROB": "0", "SMASS": "0"}, "6.3", 2.0, 800.0, "none (NVE)"),
        ({"POTIM": "********"}, "6.3.0", None, 800.0, None),
    ],
)
def test_header(tmp_path, changes, version, interval, temperature, thermostat):
    text = document([step(0, 4)], tags={**MD, **changes}, version=version)
    source, _ = read(write(tmp_path, text))
    assert source.header.frame_interval_fs == interval
    assert source.header.temperature_k == temperature
    assert source.header.thermostat == thermostat
    assert any("ramp" in note for note in source.notes) == ("1200.0" in changes.values())


@pytest.mark.parametrize(
    ("ibrion", "word"), [("2", "relaxation"), ("-1", "static"), ("5", "no mol")]
)
def test_other_calculations_have_no_time_axis(tmp_path, ibrion, word):
    source, _ = read(write(tmp_path, document([step(0, 4)], tags={**MD, "IBRION": ibrion})))
    assert not source.header.time_axis
    assert source.header.frame_interval_fs is None
    assert word in source.header.no_time_reason


def test_part_that_is_missing_from_some_frame_on_is_left_out(tmp_path):
    steps = [step(k, 4, stress=k != 2) for k in range(4)]
    source, blocks = read(write(tmp_path, document(steps)))
    assert blocks[0].n_frames == 4
    assert blocks[0].stresses is None
    assert blocks[0].forces is not None
    assert source.notes == ["no stress in frame 2: left out from there"]


@pytest.fixture(scope="module")
def short_file(tmp_path_factory):
    text = document([step(k, 2, learned=k == 1) for k in range(3)], symbols=("Na", "Cl"))
    return tmp_path_factory.mktemp("short"), text


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_cut_off_anywhere(short_file, data):
    folder, text = short_file
    cut = data.draw(st.integers(0, len(text) - 1))
    path = write(folder, text[:cut], "cut.xml")
    complete = len(re.findall("<structure>.*?</energy", text[:cut], re.DOTALL))
    if complete == 0:
        with pytest.raises(InputError, match=r"cut\.xml"):
            read(path)
        return
    source, blocks = read(path)
    check_against_twin(blocks, text, complete)
    if cut < text.index("</modeling>"):
        assert f"{complete} complete step" in source.notes[0]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_give_frames_or_an_input_error(short_file, data):
    folder, text = short_file
    damaged = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        _, blocks = read(write(folder, bytes(damaged), "damaged.xml"))
    except InputError:
        return
    assert np.isfinite(joined(blocks, "coordinates")).all()


def test_cut_off_gzip(tmp_path, monkeypatch):
    reads = ByteStream.read
    monkeypatch.setattr(ByteStream, "read", lambda stream, size=0: reads(stream, 512))
    text = document([step(k, 4) for k in range(40)])
    packed = gzip.compress(text.encode())
    source, blocks = read(write(tmp_path, packed[: len(packed) * 2 // 3], "vasprun.xml.gz"))
    n = sum(b.n_frames for b in blocks)
    assert 0 < n < 40
    check_against_twin(blocks, text, n)
    assert source.notes[0] == "the compressed file is cut off"


def replaced(old, new, at_step=1):
    steps = [step(k, 4) for k in range(3)]
    steps[at_step] = re.sub(old, new, steps[at_step], count=1, flags=re.DOTALL)
    return document(steps)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (replaced(r'("positions" >\n<v>\s+)\S+', r"\1********"), r"frame 1: positions: .*\*\*\*"),
        (replaced(r'("forces" >\n<v>\s+)\S+', r"\1NaN"), "frame 1: forces: .*NaN"),
        (replaced(r'("positions" >\n<v>\s+)\S+', r"\g<1>1e400"), "frame 1: a number: .*finite"),
        (
            replaced(r'("positions" >\n)<v>[^/]*/v>\n', r"\1"),
            "frame 1: positions: .*4 atoms.*fewer",
        ),
        (replaced(r'("positions" >\n)', r"\1<v> 0 0 0 </v>\n"), "frame 1: positions: .*found more"),
        (replaced(r'name="positions"', 'name="other"'), "frame 1: no cell or no positions"),
        (
            replaced(r"(e_fr_energy\">)[^<]*(.*?</scstep>.*e_fr_energy\">)[^<]*", r"\1 0\2 *** "),
            "energy",
        ),
        (replaced("<calculation>", "<!DOCTYPE x><calculation>"), "declaration"),
        ('<?xml?><!DOCTYPE a [<!ENTITY b "c">]>' + document([step(0, 4)]), "declaration"),
        (document([]), "no complete ionic step"),
        (document([step(0, 4)], symbols=("Li", "P", "S", "Qq")), "unknown element"),
        (document([step(0, 4)]).replace("<atoms> 4", "<atoms> 5"), "list of atoms: expected 5"),
        (document([]).replace("<atoms> 4", f"<atoms> {'4' * 5000}"), "no complete ionic step"),
        ("<html><p>no</p></html>", "not a vasprun.xml"),
    ],
)
def test_refuses(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read(write(tmp_path, text))
    assert "vasprun.xml" in str(caught.value)


def test_symbols_that_vasp_cuts_off_come_from_the_pseudopotential(tmp_path):
    types = "<rc><c> 4</c><c>r </c><c> 91.2</c><c> 12.0</c><c>  PAW_PBE Zr_sv 04Jan2005 </c></rc>"
    text = document([step(0, 4)], symbols=("r ",) * 4)
    text = text.replace('"atomtypes" >\n<set>\n', f'"atomtypes" >\n<set>\n{types}\n')
    source, _ = read(write(tmp_path, text))
    assert_array_equal(source.header.atomic_numbers, [40] * 4)


def test_looks_like():
    head = document([]).encode()
    assert looks_like_vasprun("whatever.xml", head)
    assert looks_like_vasprun("vasprun.xml", b"<?xml ?>")
    assert not looks_like_vasprun("vasprun.xml", b"\x89HDF")
    assert not looks_like_vasprun("page.xml", b"<html>")


@pytest.mark.parametrize(
    ("name", "n_frames", "first", "last_energy"),
    [
        ("LGPS_bad_random_seed", 264, (8.334691, 4.163329, 12.340549), -219.56290804),
        ("Si64.md", 10, (0.0, 0.0, 0.0), None),
        ("ML_MD", 100, (5.219713, 0.467814, 17.6244), None),
        ("H2O_md10", 10, (4.348539, 4.20903, 5.2), -28.39848822),
        ("LiFePO4.relax_variable_cell", 11, (10.33071, 0.008003, 9.456776), None),
        ("LiFePO4_truncated", 1, (9.937934, 0.033872, 0.122821), -269.00551374),
    ],
)
def test_real_files(real_data, name, n_frames, first, last_energy):
    source, blocks = read(next(real_data.glob(f"{name}.vasprun.xml*")))
    assert sum(b.n_frames for b in blocks) == n_frames
    place = blocks[0].coordinates[0, 0] @ blocks[0].cells[0]
    assert np.abs(place - first).max() < 1e-6
    if last_energy is not None:
        assert blocks[-1].energies[-1] == last_energy
    truncated = name == "LiFePO4_truncated"
    assert ["1 complete step used" in note for note in source.notes] == [True] * truncated


@pytest.mark.parametrize(
    ("name", "interval", "temperature"),
    [
        ("LGPS_bad_random_seed", 2.0, 800.0),
        ("Si64.md", 3.0, 2000.0),
        ("ML_MD", 1.0, 300.0),
        ("H2O_md10", 1.0, None),
        ("LiFePO4.relax_variable_cell", None, None),
    ],
)
def test_real_headers(real_data, name, interval, temperature):
    path = next(real_data.glob(f"{name}.vasprun.xml*"))
    header = open_vasprun(path, Hints()).header
    assert header.frame_interval_fs == interval
    assert header.temperature_k == temperature
    assert header.time_axis == (interval is not None)


def test_real_learned_run_against_pymatgen(real_data):
    from pymatgen.io.vasp.outputs import Vasprun

    path = real_data / "ML_MD.vasprun.xml.gz"
    _, blocks = read(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frames = Vasprun(path, parse_dos=False, parse_eigen=False, parse_potcar_file=False).md_data
    scaled = [f["structure"].frac_coords for f in frames]
    assert_array_equal(joined(blocks, "coordinates"), scaled)
    assert_array_equal(joined(blocks, "forces"), [f["forces"] for f in frames])
    energies = [f["energy"] for f in frames]
    assert_array_equal(joined(blocks, "energies"), [e["e_fr_energy"] for e in energies])
    last = energies[-1]
    rest = last["kinetic"] + last["nosepot"] + last["nosekinetic"] + last["lattice kinetic"]
    assert last["total"] == -491.51831988
    assert_allclose(joined(blocks, "energies")[-1] + rest, -491.51831988, rtol=1e-10, atol=0)


def test_real_velocities_have_the_kinetic_energy_that_the_file_states(real_data):
    packed = (real_data / "LGPS_bad_random_seed.vasprun.xml.gz").read_bytes()
    text = gzip.decompress(packed).decode()
    start = text[text.index('<structure name="initialpos"') : text.index("<calculation>")]
    rows = group(r'"velocities" >(.*?)</varray>', start)
    moves = np.array(re.sub("<[^>]*>", " ", rows).split(), float).reshape(-1, 3)
    cell = read(real_data / "LGPS_bad_random_seed.vasprun.xml.gz")[1][0].cells[0]
    masses = np.repeat([7.01, 72.61, 30.974, 32.066], [20, 2, 4, 24])
    kinetic = 0.5 * (masses[:, None] * (moves @ cell / 2.0) ** 2).sum() * 103.642696562
    stated = float(group(r'"kinetic">\s*([\d.]+)', text))
    assert_allclose(kinetic, stated, rtol=1e-3, atol=0)
