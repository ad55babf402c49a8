"""`mdbench fetch`."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mdbench.config import FetchConfig

from . import completion, options

if TYPE_CHECKING:
    from mdbench.stages.fetch import Fetched


@click.command(short_help="Download published trajectories.")
@click.argument("name", required=False, shell_complete=completion.data_sets)
@click.option(
    "-o", "--output", type=options.PATH, help="Folder to put the files into.  [default: ./NAME]"
)
@click.option(
    "--from",
    "source",
    type=options.PATH,
    metavar="DIR",
    help="Take files that were downloaded elsewhere; no server is asked.",
)
@options.settings(FetchConfig)
@click.option("--dry-run", is_flag=True, help="Say which files there are, and how large.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@options.force
@options.talk
def command(
    name: str | None,
    output: Path | None,
    source: Path | None,
    dry_run: bool,
    as_json: bool,
    force: bool,
    quiet: bool,
    **values: Any,
) -> None:
    """Download published trajectories, check them, unpack them. Without NAME: what there is.

    NAME is one of that list, or the DOI of a deposit at figshare or Zenodo. Files are kept in
    $MDBENCH_CACHE (default: the platform's folder of caches) with their checksums, and put into
    ./NAME as read-only links or copies. What was interrupted goes on where it stopped. A file
    that has changed since it was first fetched is refused.

    \b
      mdbench fetch
      mdbench fetch argyrodite
      mdbench fetch doi:10.6084/m9.figshare.26089474 --dry-run
      mdbench fetch paper-aimd --only '*LGPS*' -o aimd
      mdbench fetch paper-aimd --from ~/Downloads
    """
    from mdbench.stages import fetch

    config = options.take(FetchConfig, values)
    if name is None:
        if output or source or dry_run or force:
            raise click.UsageError("without NAME nothing is fetched: name what to fetch")
        _list(as_json=as_json)
        return
    with options.progress_bar(quiet=quiet) as progress:
        found = fetch.run(
            name,
            output,
            config,
            source=source,
            dry_run=dry_run,
            force=force,
            progress=progress,
        )
    options.notes(found.notes, quiet=quiet)
    if as_json:
        click.echo(json.dumps(_document(found)))
    elif dry_run:
        _files(found)
    elif not quiet:
        _summary(found)


def _list(*, as_json: bool) -> None:
    """Prints what can be fetched by name."""
    from mdbench.reporting.tables import text_table
    from mdbench.stages import fetch
    from mdbench.stages.cache import cache_folder
    from mdbench.stages.download import shown_size

    rows, lines, document = [], [], []
    for one, record in fetch.available():
        files = one.files or (record.deposit.files if record else ())
        sizes = [file.size for file in files]
        size = None if not sizes or None in sizes else sum(s for s in sizes if s is not None)
        license_ = one.license or (record.deposit.license if record else None) or None
        checksum = "known" if one.files else "at first use"
        cached = sum(bool(k.url) for k in record.known.values()) if record else 0
        shown = "asked" if size is None else shown_size(size)
        rows.append((one.name, shown, license_ or "asked", checksum, cached, one.source))
        lines.append(f"{one.name}: {one.what}.")
        document.append(
            {
                "name": one.name,
                "what": one.what,
                "size": size,
                "license": license_,
                "checksum": checksum,
                "files_in_cache": cached,
                "source": one.source,
            }
        )
    if as_json:
        click.echo(json.dumps({"sets": document, "cache": str(cache_folder())}))
        return
    click.echo(text_table(("name", "size", "license", "checksum", "in cache", "source"), rows))
    for line in lines:
        click.echo(textwrap.fill(line, 96, subsequent_indent="  "))
    click.echo("asked: the server says it, also with --dry-run")
    click.echo("at first use: sha256 is recorded then; the MD5 of the server is checked, too")
    click.echo("also: any DOI of figshare or Zenodo, as doi:10.5281/zenodo.NUMBER")
    click.echo(f"cache: {cache_folder()}")


def _files(found: Fetched) -> None:
    """Prints which files a deposit has."""
    from mdbench.reporting.tables import text_table
    from mdbench.stages.download import shown_size

    rows = []
    for one in found.known:
        file = one.file
        if file.sha256:
            checksum = f"sha256 {file.sha256[:12]}"
        else:
            checksum = f"md5 {file.md5[:12]}" if file.md5 else "at first use"
        rows.append((file.name, shown_size(file.size), checksum, "yes" if one.url else "-"))
    click.echo(text_table(("file", "size", "checksum", "fetched"), rows))
    deposit = found.deposit
    click.echo(f"{deposit.title or deposit.key} ({deposit.license or 'license not stated'})")
    click.echo(deposit.source)


def _summary(found: Fetched) -> None:
    """Prints what was fetched, and how to go on."""
    from mdbench.stages.download import shown_size

    size = shown_size(sum(one.file.size or 0 for one in found.known))
    state = f"{found.n_new} new" if found.n_new else "already there"
    click.echo(f"{found.output}: {len(found.paths)} files ({state}); downloads of {size}")
    deposit = found.deposit
    terms = deposit.license or "license not stated"
    click.echo(f"{deposit.title or deposit.key}, {deposit.source}, {terms}")
    if found.first:
        click.echo(f"checksum of {len(found.first)} files recorded: none was known to compare with")
    kinds = ", ".join(f"{n} {form}" for form, n in found.formats.items())
    click.echo(f"formats: {kinds}")
    readable = [path for path in found.paths if path.suffix not in (".json", ".txt", ".md")]
    if found.ingest and readable:
        click.echo(f"next: mdbench ingest {readable[0]} {found.ingest} -o traj.h5")
    elif set(found.formats) - {"other"}:
        click.echo(f"next: mdbench benchmark --data {found.output} --dry-run")


def _document(found: Fetched) -> dict[str, Any]:
    """What was fetched, as JSON values."""
    return {
        "title": found.deposit.title,
        "source": found.deposit.source,
        "license": found.deposit.license,
        "output": str(found.output),
        "files": [
            {
                "name": one.file.name,
                "size": one.file.size,
                "sha256": one.file.sha256,
                "md5": one.file.md5,
                "url": one.url,
                "date": one.date,
            }
            for one in found.known
        ],
        "paths": [str(path) for path in found.paths],
        "new": found.n_new,
        "formats": found.formats,
        "notes": found.notes,
    }
