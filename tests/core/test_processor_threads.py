"""How many threads libraries take that are begun inside and outside `one_thread`."""

import pytest

from synthstudio.core.threads import one_thread, threads_allowed


@pytest.mark.parametrize(
    ("stated", "allowed"), [(None, 0), ("3", 3), ("many", 0), ("", 0), ("9" * 9, 0), ("-1", 0)]
)
def test_the_environment_says_how_many_and_one_thread_is_one(monkeypatch, stated, allowed):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if stated is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", stated)
    assert threads_allowed() == allowed
    with pytest.raises(LookupError), one_thread():
        with one_thread():
            assert threads_allowed() == 1
        assert threads_allowed() == 1
        raise LookupError
    assert threads_allowed() == allowed
