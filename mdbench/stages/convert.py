"""A trajectory in the format of another code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from mdbench.config import ConvertConfig
from mdbench.formats.export import exporter_for, write_frames
from mdbench.store import TrajectoryFile, check_output
from mdbench.trajectory import Trajectory


def run(
    source: Path,
    output: Path,
    config: ConvertConfig,
    *,
    force: bool = False,
    progress: Callable[[float, str], None] | None = None,
) -> int:
    """Writes the frames of a trajectory file to `output`; how many.

    Args:
        source: A file of kind `trajectory`.
        output: Its name tells the format.
        config: Which frames.
        force: Overwrite.
        progress: Called with the share done and what is being written.
    """
    exporter_for(output)
    check_output(output, force=force)
    with TrajectoryFile(source) as file:

        def blocks() -> Iterator[Trajectory]:
            for block in file.blocks(stride=config.stride):
                yield block
                if progress is not None:
                    progress(float(block.times_ps[-1] / max(file.times_ps[-1], 1e-9)), output.name)

        return write_frames(output, blocks())
