"""Continuation runs as one time series, and what the user may and must say about time."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mdbench.config import IngestConfig
from mdbench.errors import InputError
from mdbench.formats import open_source
from mdbench.formats.base import Frames, Header, Hints, Source
from mdbench.formats.joining import JoinedRun
from mdbench.stages import ingest
from mdbench.store import read_trajectory

CELL = np.array([[5.0, 0, 0], [1.0, 4.5, 0], [-0.5, 0.8, 5.5]])
SYMBOLS = ["Li", "Li", "S"]


def flight(n_frames, seed=0):
    """(n_frames, 3, 3) Å, unwrapped: atoms fly through the cell at 0.4 to 0.7 Å a frame."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(3, 3))
    steps *= (np.array([0.7, 0.6, 0.4]) / np.linalg.norm(steps, axis=1))[:, None]
    start = rng.random((3, 3)) @ CELL
    return start + np.arange(n_frames)[:, None, None] * steps


def wrap(positions):
    """Fractional coordinates inside the cell."""
    scaled = positions @ np.linalg.inv(CELL)
    return scaled - np.floor(scaled)


def write_xdatcar(path, positions, symbols=("Li", "Li", "S")):
    names = list(dict.fromkeys(symbols))
    text = "run\n1.0\n" + "".join(f"{a:.9f} {b:.9f} {c:.9f}\n" for a, b, c in CELL)
    text += " ".join(names) + "\n" + " ".join(str(list(symbols).count(n)) for n in names) + "\n"
    for number, frame in enumerate(wrap(positions), start=1):
        text += f"Direct configuration= {number:5d}\n"
        text += "".join(f"{a:.8f} {b:.8f} {c:.8f}\n" for a, b, c in frame)
    path.write_text(text)
    return path


def write_dump(path, positions, steps, *, columns="x y z", symbols=SYMBOLS, order=None):
    """A dump with wrapped coordinates, or with unwrapped ones or image flags."""
    (lx, _, _), (xy, ly, _), (xz, yz, lz) = CELL
    low, high = min(0, xy, xz, xy + xz), max(0, xy, xz, xy + xz)
    box = f"ITEM: BOX BOUNDS xy xz yz pp pp pp\n{low} {lx + high} {xy}\n"
    box += f"{min(0, yz)} {ly + max(0, yz)} {xz}\n0 {lz} {yz}\n"
    scaled = positions @ np.linalg.inv(CELL)
    images = np.floor(scaled).astype(int)
    text = ""
    for frame, step in enumerate(steps):
        text += f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{len(symbols)}\n{box}"
        text += f"ITEM: ATOMS id element {columns}\n"
        inside = (scaled[frame] - images[frame]) @ CELL
        for atom in range(len(symbols)) if order is None else order:
            values = positions[frame, atom] if "xu" in columns else inside[atom]
            flags = images[frame, atom] if "ix" in columns else ()
            row = [*(repr(float(v)) for v in values), *map(str, flags)]
            text += f"{atom + 1} {symbols[atom]} {' '.join(row)}\n"
    path.write_text(text)
    return path


def joined(sources, tmp_path, *, force=False, **settings):
    """What `mdbench ingest` stores for the sources."""
    output = tmp_path / "joined.h5"
    ingest.run(sources, output, IngestConfig(float64=True, **settings), force=force)
    return read_trajectory(output)


def refused(sources, tmp_path, *words, force=False, **settings):
    output = tmp_path / "refused.h5"
    with pytest.raises(InputError) as caught:
        ingest.run(sources, output, IngestConfig(**settings), force=force)
    message = str(caught.value)
    for word in words:
        assert word in message
    assert "\n" not in message
    assert not output.exists()
    assert not list(tmp_path.glob("*.part"))
    return message


def furthest(a, b) -> float:
    assert a.shape == b.shape
    return float(np.abs(a - b).max())


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("repeat", [0, 1])
def test_xdatcars_in_order(seed, repeat, tmp_path) -> None:
    """The second file may begin with the last frame of the first, as a restart writes it."""
    run = flight(30, seed)
    sources = [
        write_xdatcar(tmp_path / "XDATCAR.1", run[:13]),
        write_xdatcar(tmp_path / "XDATCAR.2", run[13 - repeat : 14]),
        write_xdatcar(tmp_path / "XDATCAR.3", run[14 - repeat :]),
    ]
    stored = joined(sources, tmp_path, frame_interval_fs=2.0)
    assert furthest(stored.positions, run - run[0] + wrap(run[:1]) @ CELL) < 2e-7
    assert furthest(stored.times_ps, np.arange(30) * 0.002) < 1e-12
    dropped = [note for note in stored.provenance.notes if "dropped" in note]
    assert dropped == [f"frame {at} repeats the frame before, dropped" for at in (13, 14) if repeat]


def test_the_frame_at_the_seam_crosses_the_boundary(tmp_path) -> None:
    run = flight(20)
    crossings = np.abs(np.diff(wrap(run), axis=0)).max(axis=(1, 2)) > 0.5
    seams = np.flatnonzero(crossings) + 1
    assert len(seams) >= 3
    for seam in seams:
        sources = [
            write_xdatcar(tmp_path / "XDATCAR.1", run[:seam]),
            write_xdatcar(tmp_path / "XDATCAR.2", run[seam:]),
        ]
        output = tmp_path / f"{seam}.h5"
        ingest.run(sources, output, IngestConfig(frame_interval_fs=2.0, float64=True))
        moved = np.diff(read_trajectory(output).positions, axis=0)
        assert furthest(moved, np.diff(run, axis=0)) < 2e-7


@pytest.mark.parametrize("columns", ["x y z", "xu yu zu", "x y z ix iy iz"])
@pytest.mark.parametrize(
    "steps", [range(100, 200, 10), range(0, 100, 10)], ids=["going on", "set back"]
)
def test_dumps_in_order(columns, steps, tmp_path) -> None:
    run = flight(20)
    sources = [
        write_dump(tmp_path / "1.dump", run[:10], range(0, 100, 10), columns=columns),
        write_dump(tmp_path / "2.dump", run[10:], steps, columns=columns, order=[2, 0, 1]),
    ]
    stored = joined(sources, tmp_path, timestep_fs=0.5)
    assert furthest(np.diff(stored.positions, axis=0), np.diff(run, axis=0)) < 1e-12
    assert furthest(stored.times_ps, np.arange(20) * 0.005) < 1e-12
    assert stored.provenance.unwrapped_by == (
        "minimum image" if columns == "x y z" else "as stored"
    )


def test_a_restart_that_writes_its_last_step_again(tmp_path) -> None:
    run = flight(20)
    sources = [
        write_dump(tmp_path / "1.dump", run[:10], range(0, 100, 10)),
        write_dump(tmp_path / "2.dump", run[9:], range(90, 200, 10)),
    ]
    stored = joined(sources, tmp_path, timestep_fs=0.5)
    assert furthest(stored.times_ps, np.arange(20) * 0.005) < 1e-12
    assert stored.provenance.notes == ("frame 10 repeats the frame before, dropped",)


def test_a_pause_between_runs_shows_in_the_times(tmp_path) -> None:
    run = flight(20)
    sources = [
        write_dump(tmp_path / "1.dump", run[:10], range(0, 100, 10)),
        write_dump(tmp_path / "2.dump", run[10:], range(130, 230, 10)),
    ]
    stored = joined(sources, tmp_path, timestep_fs=0.5)
    assert abs(stored.times_ps[10] - 0.065) < 1e-12
    assert any("uneven frames" in note for note in stored.provenance.notes)


def test_a_frame_that_stands_twice_in_the_middle_is_kept_where_time_went_on(tmp_path) -> None:
    run = flight(8)
    run[4] = run[3]
    stored = joined([write_dump(tmp_path / "a.dump", run, range(8))], tmp_path, timestep_fs=1.0)
    assert stored.n_frames == 8
    assert any("duplicate frames: 1 frame" in note for note in stored.provenance.notes)


def test_a_frame_with_the_counter_of_the_one_before_is_dropped(tmp_path) -> None:
    run = flight(8)
    run[4] = run[3]
    source = write_dump(tmp_path / "a.dump", run, [0, 1, 2, 3, 3, 5, 6, 7])
    stored = joined([source], tmp_path, timestep_fs=1.0)
    assert stored.n_frames == 7
    assert "frame 4 repeats the frame before, dropped" in stored.provenance.notes


@pytest.mark.parametrize(
    "symbols", [("Li", "S", "S"), ("S", "Li", "Li"), ("Li", "Li", "S", "S")], ids="-".join
)
def test_other_atoms_in_the_second_run(symbols, tmp_path) -> None:
    run = flight(6)
    more = np.concatenate([run, run[:, :1] + 0.3], axis=1)[:, : len(symbols)]
    sources = [
        write_xdatcar(tmp_path / "XDATCAR.1", run),
        write_xdatcar(tmp_path / "XDATCAR.2", more, symbols),
    ]
    message = refused(
        sources, tmp_path, "other atoms", "expected Li2 S1", "same order", frame_interval_fs=1.0
    )
    assert message.startswith(str(sources[1]))


def test_other_frame_interval_in_the_second_run(tmp_path) -> None:
    run = flight(20)
    sources = [
        write_dump(tmp_path / "1.dump", run[:10], range(0, 100, 10)),
        write_dump(tmp_path / "2.dump", run[10:], range(100, 300, 20)),
    ]
    message = refused(
        sources, tmp_path, "expected 5 fs, found 10 fs", "apart", timestep_fs=0.5
    )  # fmt: skip
    assert message.startswith(str(sources[1]))


def timed(path, run, interval_fs=3.0):
    text = ""
    lattice = " ".join(map(str, CELL.ravel()))
    for frame, positions in enumerate(run):
        text += f'3\nLattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T" '
        text += f"time_fs={frame * interval_fs}\n"
        for symbol, place in zip(SYMBOLS, positions, strict=True):
            text += f"{symbol} {' '.join(repr(float(v)) for v in place)}\n"
    path.write_text(text)
    return path


def test_an_interval_that_contradicts_the_file(tmp_path) -> None:
    source = timed(tmp_path / "a.extxyz", flight(6))
    words = "--frame-interval-fs 5 fs contradicts the file, which says 3 fs"
    refused([source], tmp_path, words, "--force", "a.extxyz", frame_interval_fs=5.0)
    stored = joined([source], tmp_path, force=True, frame_interval_fs=5.0)
    assert furthest(stored.times_ps, np.arange(6) * 0.005) < 1e-12
    assert words in stored.provenance.notes
    same = joined([source], tmp_path, force=True, frame_interval_fs=3.0)
    assert same.provenance.notes == ()


def fake(run, **known):
    """A source in memory, without times of its own."""
    header = Header(np.array([3, 3, 16]), **known)
    cells = np.tile(CELL, (len(run), 1, 1))
    return Source(Path("fake"), "fake", header, (f for f in [Frames(run, cells)]), [], lambda: 1.0)


def test_a_temperature_and_a_timestep_that_contradict_the_file() -> None:
    cases: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("--temperature 900 K", {"temperature_k": 900.0}, {"temperature_k": 800.0}),
        ("--timestep-fs 2 fs", {"timestep_fs": 2.0}, {"timestep_fs": 1.0}),
    ]
    for flag, stated, known in cases:
        with pytest.raises(InputError, match=f"{flag} contradicts the file"):
            list(JoinedRun(**stated, frame_interval_fs=1.0).blocks(fake(flight(3), **known)))
        forced = JoinedRun(**stated, frame_interval_fs=1.0, force=True)
        assert len(list(forced.blocks(fake(flight(3), **known)))) == 1
        assert forced.notes[0].startswith(flag)
        agreed = JoinedRun(**known, frame_interval_fs=1.0)
        list(agreed.blocks(fake(flight(3), **known)))
        assert agreed.notes == []


def test_interval_unknown(tmp_path) -> None:
    source = write_xdatcar(tmp_path / "XDATCAR", flight(4))
    refused([source], tmp_path, "XDATCAR does not say", "give --frame-interval-fs")
    dump = write_dump(tmp_path / "a.dump", flight(4), range(4))
    refused([dump], tmp_path, "give --frame-interval-fs", "or --timestep-fs")


def test_no_time_series() -> None:
    source = fake(flight(3), time_axis=False, no_time_reason="a relaxation")
    with pytest.raises(InputError, match="not a time series: a relaxation; --frame-interval-fs 0"):
        list(JoinedRun().blocks(source))


def test_frame_interval_zero_takes_positions_as_they_are(tmp_path) -> None:
    run = flight(25)
    sources = [
        write_xdatcar(tmp_path / "XDATCAR.1", run[:12]),
        write_xdatcar(tmp_path / "XDATCAR.2", run[11:]),
    ]
    stored = joined(sources, tmp_path, frame_interval_fs=0.0)
    assert stored.n_frames == 26
    assert not stored.times_ps.any()
    expected = np.concatenate([wrap(run[:12]), wrap(run[11:])]) @ CELL
    assert furthest(stored.positions, expected) < 2e-7
    assert stored.provenance.unwrapped_by == "not a time series"


def test_single_frames(tmp_path) -> None:
    """One frame needs no interval; one frame per file is a run where the interval is stated."""
    run = flight(5)
    single = [write_xdatcar(tmp_path / f"XDATCAR.{i}", run[i : i + 1]) for i in range(5)]
    alone = joined(single[:1], tmp_path)
    assert (alone.n_frames, alone.frame_interval_fs) == (1, None)
    (tmp_path / "joined.h5").unlink()
    stored = joined(single, tmp_path, frame_interval_fs=4.0)
    assert furthest(np.diff(stored.positions, axis=0), np.diff(run, axis=0)) < 2e-7
    assert furthest(stored.times_ps, np.arange(5) * 0.004) < 1e-12


def test_single_frames_without_an_interval_are_no_run(tmp_path) -> None:
    run = flight(2)
    single = [write_xdatcar(tmp_path / f"XDATCAR.{i}", run[i : i + 1]) for i in range(2)]
    refused(single, tmp_path, "XDATCAR.1", "does not say", "give --frame-interval-fs")


def test_a_file_for_each_frame(tmp_path) -> None:
    """As LAMMPS writes `dump.*.lammpstrj`: the counters say how far apart the files are."""
    run = flight(5)
    single = [
        write_dump(tmp_path / f"{step}.dump", run[i : i + 1], [step])
        for i, step in enumerate(range(0, 50, 10))
    ]
    stored = joined(single, tmp_path, timestep_fs=0.5)
    assert furthest(np.diff(stored.positions, axis=0), np.diff(run, axis=0)) < 1e-12
    assert furthest(stored.times_ps, np.arange(5) * 0.005) < 1e-12
    refused(single, tmp_path, "10.dump", "give --frame-interval-fs", "or --timestep-fs")


@pytest.mark.parametrize("steps", [[0, 10, 20, 10, 20, 30], [0, 10, 20, 20, 30, 40]])
def test_counters_that_do_not_increase_within_a_file(steps, tmp_path) -> None:
    source = write_dump(tmp_path / "a.dump", flight(6), steps)
    refused(
        [source], tmp_path, "a.dump", "frame 3: time does not increase", "after 10 fs",
        "split them", timestep_fs=0.5,
    )  # fmt: skip


def test_frames_too_far_apart(tmp_path) -> None:
    run = flight(6)
    run[3:, 1] += np.array([0.45, 0.45, 0.45]) @ CELL
    source = write_xdatcar(tmp_path / "XDATCAR", run)
    refused(
        [source], tmp_path, "XDATCAR", "frame 3, atom 1", "too far apart", "found ", " A",
        "store frames more often", frame_interval_fs=1.0,
    )  # fmt: skip


def test_runs_of_other_timesteps_but_one_interval(tmp_path) -> None:
    """Each source's counters are turned into times by its own timestep."""
    run, joined_run, times = flight(8), JoinedRun(), []
    parts = [(run[:4], 2.0, np.arange(0, 20, 5)), (run[4:], 1.0, np.arange(0, 40, 10))]
    for part, timestep, steps in parts:
        source = fake(part, timestep_fs=timestep)
        source.blocks = (f for f in [Frames(part, np.tile(CELL, (4, 1, 1)), steps=steps)])
        times += [block.times_ps for block, _ in joined_run.blocks(source)]
    assert furthest(np.concatenate(times), np.arange(8) * 0.01) < 1e-12


def test_runs_in_other_formats(tmp_path) -> None:
    """A run whose first part is an XDATCAR and whose second an extxyz, frame repeated or not."""
    run = flight(12)
    run = run - run[0] + wrap(run[:1])[0] @ CELL
    sources = [
        write_xdatcar(tmp_path / "XDATCAR", run[:6]),
        timed(tmp_path / "b.extxyz", wrap(run[6:]) @ CELL),
    ]
    stored = joined(sources, tmp_path, frame_interval_fs=3.0)
    assert furthest(stored.positions, run) < 2e-7
    assert furthest(stored.times_ps, np.arange(12) * 0.003) < 1e-12
    repeated = [sources[0], timed(tmp_path / "c.extxyz", wrap(run[5:]) @ CELL)]
    again = joined(repeated, tmp_path, force=True, frame_interval_fs=3.0)
    assert again.n_frames == 12


def test_unknown_blocks_sizes_give_the_same() -> None:
    """Frames come out the same however a reader cuts them into blocks."""
    run = flight(17)
    results = []
    for size in (1, 2, 5, 17):
        source = fake(run)
        parts = [run[i : i + size] for i in range(0, 17, size)]
        source.header = Header(np.array([3, 3, 16]), scaled=True)
        source.blocks = (Frames(wrap(p), np.tile(CELL, (len(p), 1, 1))) for p in parts)
        blocks = [b for b, _ in JoinedRun(frame_interval_fs=2.0).blocks(source)]
        results.append(
            (
                np.concatenate([b.positions for b in blocks]),
                np.concatenate([b.times_ps for b in blocks]),
            )
        )
    for positions, times in results[1:]:
        assert furthest(positions, results[0][0]) < 1e-12
        assert furthest(times, results[0][1]) < 1e-15


def test_notes_of_the_reader_come_with_the_name_of_the_file(tmp_path) -> None:
    source = write_xdatcar(tmp_path / "XDATCAR", flight(6))
    source.write_text(source.read_text()[:-20])
    stored = joined([source], tmp_path, frame_interval_fs=1.0)
    assert stored.n_frames == 5
    assert len(stored.provenance.notes) == 1
    assert stored.provenance.notes[0].startswith("XDATCAR: ")


def test_open_source_tells_the_format_by_the_content(tmp_path) -> None:
    path = write_dump(tmp_path / "XDATCAR", flight(3), range(3))
    assert open_source(path, Hints()).format == "LAMMPS dump"
