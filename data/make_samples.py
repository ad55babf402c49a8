"""Writes the sample files of data/samples from the hopping model of `mdbench.synthetic`.

    python data/make_samples.py [FOLDER]

The same seeds give the same files. The time stamp is left out of the gzip headers.
"""

import dataclasses
import gzip
import sys
from pathlib import Path

import numpy as np

from mdbench.synthetic import HoppingModel, ion_conductor
from mdbench.trajectory import Trajectory

TEMPERATURE_K = 800.0
FRAME_INTERVAL_FS = 100.0
TITLE = "synthetic: hopping toy model, not MD of any potential"


def xdatcar(run: Trajectory) -> str:
    """The run in VASP's XDATCAR format, fractional coordinates rounded to five digits."""
    symbols = list(dict.fromkeys(run.symbols))
    lines = [TITLE, "1.0"]
    lines += [" ".join(f"{x:12.6f}" for x in vector) for vector in run.cells[0]]
    lines.append(" ".join(f"{s:>4}" for s in symbols))
    lines.append(" ".join(f"{run.symbols.count(s):4d}" for s in symbols))
    scaled = np.round(run.wrapped_positions() @ np.linalg.inv(run.cells[0]), 5) % 1.0
    for number, frame in enumerate(scaled, start=1):
        lines.append(f"Direct configuration={number:6d}")
        lines += [f"  {x:.8f}  {y:.8f}  {z:.8f}" for x, y, z in frame]
    return "\n".join(lines) + "\n"


def extxyz(run: Trajectory) -> str:
    """The run as extended xyz with the energies and forces of the model's springs."""
    cell = " ".join(f"{x:.6f}" for x in run.cells[0].ravel())
    positions = run.wrapped_positions()
    assert run.energies is not None
    assert run.forces is not None
    lines = []
    for frame in range(run.n_frames):
        lines.append(str(run.n_atoms))
        lines.append(
            f'Lattice="{cell}" Properties=species:S:1:pos:R:3:forces:R:3 '
            f"energy={run.energies[frame]:.5f} time_fs={frame * FRAME_INTERVAL_FS:.1f} "
            f'pbc="T T T" comment="{TITLE}"'
        )
        rows = np.hstack([positions[frame], run.forces[frame]])
        lines += [
            f"{symbol:2s}" + "".join(f" {x:10.5f}" for x in row)
            for symbol, row in zip(run.symbols, rows, strict=True)
        ]
    return "\n".join(lines) + "\n"


def _run(model: HoppingModel, seed: int) -> Trajectory:
    return ion_conductor(
        model,
        250,
        np.random.default_rng(seed),
        temperature_k=TEMPERATURE_K,
        frame_interval_fs=FRAME_INTERVAL_FS,
    )


def main(folder: Path) -> None:
    """Writes all samples into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    reference = HoppingModel()
    swollen = dataclasses.replace(reference, lattice_constant=1.02 * reference.lattice_constant)
    runs = {
        "li2s-800K-r1": _run(reference, 1),
        "li2s-800K-r2": _run(reference, 2),
        "li2s-800K-toy-faithful": _run(reference, 3),
        "li2s-800K-toy-swollen": _run(swollen, 4),
    }
    files = {f"{name}.XDATCAR.gz": xdatcar(run) for name, run in runs.items()}
    files["li2s-800K-forces.extxyz.gz"] = extxyz(runs["li2s-800K-r1"][:25])
    for name, text in files.items():
        (folder / name).write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        print(folder / name)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "samples")
