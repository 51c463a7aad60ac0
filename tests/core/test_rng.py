"""The random streams: pinned first values, independence, refusal of wrong keys."""

import numpy as np
import pytest

from synthstudio.core.rng import stream

PINNED = {
    (0,): [1960954369, 922737526, 4069994252],
    (1, "pose"): [2676375010, 48077512, 2028898091],
    (1, "pose", 7): [681371143, 2328593113, 1157009409],
    (-5, ""): [4284409839, 1493476013, 3827430345],
}


@pytest.mark.parametrize("key", PINNED)
def test_first_values_are_pinned(key):
    assert stream(*key).integers(0, 2**32, 3).tolist() == PINNED[key]


def test_streams_do_not_depend_on_each_other():
    assert abs(np.corrcoef(stream(3, "a").random(4000), stream(3, "b").random(4000))[0, 1]) < 0.06


def test_key_lists_that_could_be_confused_differ():
    keys = [(1, 2), (12,), ("1", 2), (1, "2"), ("12",), (1, 2, ""), ("", 1, 2), (-1, 2), (255,)]
    values = {stream(0, *key).integers(0, 2**63).item() for key in [*keys, (-1,)]}
    assert len(values) == len(keys) + 1


@pytest.mark.parametrize("key", [1.0, True, None, b"a"])
def test_other_keys_are_refused(key):
    with pytest.raises(TypeError, match="a stream key"):
        stream(0, key)
