"""One process at a time makes a file."""

import multiprocessing
import os
import signal

import pytest

from mdbench.claims import claimed
from mdbench.errors import InputError
from mdbench.store import written


def test_a_second_one_is_refused_and_nothing_is_left(tmp_path) -> None:
    path = tmp_path / "new" / "t.h5"
    with claimed(path):
        with (
            pytest.raises(InputError, match=r"t\.h5: another process is making this"),
            claimed(path),
        ):
            pass
        with claimed(tmp_path / "new" / "u.h5"):
            pass
        assert [p.name for p in path.parent.iterdir()] == ["t.h5.lock"]
    assert not path.parent.exists()
    with claimed(path):
        pass


def test_what_the_first_one_writes_is_not_touched(tmp_path) -> None:
    path = tmp_path / "t.h5"
    with written(path) as part:
        part.write_text("first")
        with pytest.raises(InputError, match="another process"), written(path) as other:
            other.write_text("second")
        assert part.read_text() == "first"
    assert path.read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["t.h5"]


def _hold(path, ready) -> None:
    with claimed(path):
        ready.set()
        signal.pause()


def test_a_killed_process_holds_nothing(tmp_path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(tmp_path / "t.h5", ready))
    holder.start()
    assert ready.wait(60)
    with pytest.raises(InputError, match="another process"), claimed(tmp_path / "t.h5"):
        pass
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert (tmp_path / "t.h5.lock").exists()
    with claimed(tmp_path / "t.h5"):
        pass
    assert not (tmp_path / "t.h5.lock").exists()


def _count(path, counter, rounds) -> None:
    """Adds one to a number in a file, whenever nobody else does, without a lock on the number."""
    done = 0
    while done < rounds:
        try:
            with claimed(path):
                counter.write_text(str(int(counter.read_text()) + 1))
        except InputError:
            continue
        done += 1


def test_only_one_at_a_time(tmp_path) -> None:
    counter, rounds = tmp_path / "counter", 200
    counter.write_text("0")
    context = multiprocessing.get_context("spawn")
    both = [
        context.Process(target=_count, args=(tmp_path / "t.h5", counter, rounds)) for _ in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert counter.read_text() == str(2 * rounds)


def test_where_nothing_can_be_written(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"), claimed(tmp_path / "file" / "t.h5"):
        pass
    (tmp_path / "t.h5.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="cannot be written"), claimed(tmp_path / "t.h5"):
        pass
    assert not (tmp_path / "elsewhere").exists()
