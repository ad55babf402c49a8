"""The garbage collector leaves old objects alone for a while, and new ones not."""

import gc
import weakref

import pytest

from mdbench.collector import leaving_old_objects


class Loop:
    """Garbage that only the collector finds."""

    def __init__(self):
        self.itself = self


def test_old_objects_are_left_alone_and_new_ones_are_not():
    gc.collect()
    old = Loop()
    before = weakref.ref(old)
    with leaving_old_objects():
        del old
        new = Loop()
        after = weakref.ref(new)
        del new
        gc.collect()
        assert before() is not None
        assert after() is None
    gc.collect()
    assert before() is None


def test_an_error_does_not_last():
    with pytest.raises(KeyError), leaving_old_objects():
        raise KeyError
    assert gc.get_freeze_count() == 0
