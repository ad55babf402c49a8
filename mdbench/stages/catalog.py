"""What can be fetched by name, and where it is from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from mdbench.errors import InputError, suggest


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server, and what is known of it before it is fetched.

    Attributes:
        name: Its name, with folders where the server has some, as "LGPS/800K.zip".
        urls: Where it is; the next one is asked where one does not serve it.
        size: Bytes, where they are known.
        sha256: Known beforehand, or recorded when it was first fetched.
        md5: As the server states it.
    """

    name: str
    urls: tuple[str, ...]
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None


@dataclass(frozen=True)
class DataSet:
    """What can be fetched by a name of its own.

    Attributes:
        name: Its name on the command line.
        what: What it is.
        source: DOI or address, for people.
        license: Where it is known beforehand.
        doi: Where the server is asked for the files.
        files: Those known beforehand.
        ingest: What `mdbench ingest` has to be told, since the files do not say it.
    """

    name: str
    what: str
    source: str
    license: str | None = None
    doi: str | None = None
    files: tuple[RemoteFile, ...] = ()
    ingest: str = ""


_RAW = "https://raw.githubusercontent.com"
_ARGYRODITE = f"{_RAW}/bjmorgan/data_argyrodite_disorder/70060fcba4422a22c37989ea8b0649fb56bd5687"
_KINISI = f"{_RAW}/kinisi-dev/kinisi/b9806d9120b87c79215eb0482441e4ab91c640a6"
_PAPER = "of the benchmark's paper, doi:10.1039/d4dd00140k: Li10GeP2S12, Li3PS4, Li4GeS4"

DATA_SETS = (
    DataSet(
        "argyrodite",
        "AIMD (VASP) of Li6PS5Cl, 28 ps in two files, and Li6PS5I, 10 ps, at 500 K, with anion "
        "disorder; three XDATCAR.gz of 416 atoms for first steps (paper: "
        "doi:10.1021/acs.chemmater.0c03738)",
        "github.com/bjmorgan/data_argyrodite_disorder",
        license="MIT",
        files=(
            RemoteFile(
                "Li6PS5Cl_50p_run1.XDATCAR.gz",
                (
                    f"{_ARGYRODITE}/data/Li6PS5Cl/50p/run1/actual_XDATCAR.gz",
                    f"{_KINISI}/kinisi/tests/inputs/example_XDATCAR.gz",
                ),
                842_426,
                "cdb11eb4f490277739fd30fb91af87d0a98956ce1392d56c13822520277973f2",
            ),
            RemoteFile(
                "Li6PS5Cl_50p_run2.XDATCAR.gz",
                (f"{_ARGYRODITE}/data/Li6PS5Cl/50p/run2/actual_XDATCAR.gz",),
                841_900,
                "3321a3a3322047f156c45fd1bd13d180faac88ff5f6dddac3ca8842502f29ea4",
            ),
            RemoteFile(
                "Li6PS5I_100p_run1.XDATCAR.gz",
                (f"{_ARGYRODITE}/data/Li6PS5I/100p/run1/actual_XDATCAR.gz",),
                600_375,
                "e5082c14dcba187dc0f2677d5e189cc8c69b0aef26c9c314efdf666172e06381",
            ),
        ),
        ingest="--frame-interval-fs 100 --temperature 500 --mobile Li",
    ),
    DataSet(
        "paper-aimd",
        f"AIMD trajectories {_PAPER}",
        "doi:10.6084/m9.figshare.26089474",
        doi="10.6084/m9.figshare.26089474",
    ),
    DataSet(
        "paper-mlff",
        f"MLFF trajectories {_PAPER}",
        "doi:10.6084/m9.figshare.26089486",
        doi="10.6084/m9.figshare.26089486",
    ),
    DataSet(
        "paper-models",
        f"trained models {_PAPER}; pickles of GraNNField, which mdbench does not read",
        "doi:10.6084/m9.figshare.26089618",
        doi="10.6084/m9.figshare.26089618",
    ),
)


def data_set(name: str) -> DataSet:
    """The data set of a name, without regard to case and dashes.

    Raises:
        InputError: None has that name.
    """
    known = {one.name: one for one in DATA_SETS}
    for one in DATA_SETS:
        if _plain(one.name) == _plain(name):
            return one
    raise InputError(
        f"unknown data set {name!r}",
        remedy=f"{suggest(name.lower(), known)} (a DOI of figshare or Zenodo will do, too)",
    )


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def safe_path(name: str, where: object) -> PurePosixPath:
    """A file's path from a stranger, checked to stay within the folder that it is put into.

    Args:
        name: As a server or an archive states it; backslashes separate folders, too.
        where: What states it, for messages.

    Raises:
        InputError: It is absolute, climbs out, or has bytes that no name should have.
    """
    text = name.replace("\\", "/")
    path = PurePosixPath(text)
    if text.startswith("/") or text[1:2] == ":" or ".." in path.parts:
        raise InputError("file name leads out of its folder", where=where, found=repr(name))
    if not path.parts or any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise InputError("unusable file name", where=where, found=repr(name))
    try:
        longest = max(len(part.encode()) for part in path.parts)
    except UnicodeEncodeError as error:
        raise InputError("unusable file name", where=where, found=repr(name)) from error
    if longest > 255 or len(text) > 2000:
        raise InputError("file name too long", where=where, found=f"{name[:40]!r}…")
    return path
