from synthstudio.core.recent import FrameCache


def test_what_the_last_two_frames_needed_is_kept_and_nothing_older():
    recent, made = FrameCache(), []
    for frame in ("ab", "ac", "ab", "dd", "ee", "a"):
        recent.next_frame()
        for key in frame:
            assert (
                recent.get(key, lambda key=key: made.append(key) or f"made {key}") == f"made {key}"
            )
        assert len(recent) <= 4
    # b is known from two frames before; a is forgotten once two frames went without it.
    assert made == ["a", "b", "c", "b", "d", "e", "a"]


def test_none_is_a_value_like_any_other_and_switched_off_nothing_is_held():
    for recent, called in ((FrameCache(), 1), (FrameCache(on=False), 2)):
        calls = []
        for _ in range(2):
            assert recent.get("a", lambda calls=calls: calls.append(1)) is None
        assert len(calls) == called
    assert len(recent) == 0
