"""What is in a folder and in a file, to be compared bit for bit."""

from pathlib import Path

import h5py
import numpy as np


def arrays(path: Path) -> dict[str, bytes]:
    """Every dataset of an HDF5 file, as bytes."""
    found: dict[str, bytes] = {}

    def collect(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item[()]).tobytes()

    with h5py.File(path, "r") as file:
        file.visititems(collect)
    return found


def files(folder: Path) -> set[str]:
    """Names of all files below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
