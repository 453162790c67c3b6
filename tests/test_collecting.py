"""No search for garbage within a block; outside of it all is as before."""

import gc
import sys

import pytest

from fieldmark.collecting import leave_uncollected, without_collection


def test_within_a_block_and_after_it() -> None:
    assert gc.isenabled()
    with pytest.raises(KeyError), without_collection():
        assert not gc.isenabled()
        with without_collection():
            pass
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()


def test_what_is_left_is_not_searched_unless_somebody_minds(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    try:
        monkeypatch.setitem(sys.modules, "triton", sys)
        leave_uncollected()
        assert gc.get_freeze_count() == 0
        monkeypatch.delitem(sys.modules, "triton")
        leave_uncollected()
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()
