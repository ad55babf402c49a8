"""Packages as pip leaves them in a folder: code, and beside it what the package says of itself."""

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PLUGIN = Path(__file__).parent / "plugin"
GROUP = "mdbench.models"


def install(
    folder: Path,
    package: str,
    points: Mapping[str, str],
    code: str | None = None,
    *,
    version: str = "1.0",
    group: str = GROUP,
) -> Path:
    """A package with entry points, and its one module where there is code.

    Args:
        folder: Made where it is not there.
        package: Its name; the module's, with underscores.
        points: Targets by name.
        code: Of the module.
        version: Of the package.
        group: Of the entry points.
    """
    about = folder / f"{package.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    lines = "\n".join(f"{name} = {target}" for name, target in points.items())
    (about / "entry_points.txt").write_text(f"[{group}]\n{lines}\n")
    if code is not None:
        (folder / f"{package.replace('-', '_')}.py").write_text(code)
    return folder


def install_my_model(folder: Path, version: str = "1.0") -> Path:
    """The package in `tests/plugin`."""
    code = (PLUGIN / "my_model.py").read_text()
    return install(folder, "my-model", {"my-model": "my_model:MyModel"}, code, version=version)


@contextmanager
def visible(*folders: Path) -> Iterator[None]:
    """While it lasts, the packages of these folders are installed."""
    before = list(sys.path)
    sys.path[:0] = [str(folder) for folder in folders]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file and any(Path(file).is_relative_to(folder) for folder in folders):
                del sys.modules[name]
