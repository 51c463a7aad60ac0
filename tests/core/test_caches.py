from synthstudio.core.last_used import FrameCache, LastUsed


def test_the_last_used_stay():
    kept = LastUsed(6, len)
    kept.put("a", "aa")
    kept.put("b", "bb")
    assert kept.get("a") == "aa"
    kept.put("c", "ccc")
    assert [kept.get(k) for k in "abc"] == ["aa", None, "ccc"]
    kept.put("a", "aaa")
    assert [kept.get(k) for k in "ac"] == ["aaa", "ccc"]
    assert kept.put("d", "d" * 7) == "d" * 7 and kept.get("d") is None
    assert kept.get("a"), "what is too large pushes nothing out"
    kept.pop("nobody")
    made = [kept.get_or("e", lambda n=n: "e" * n) for n in (1, 2)]
    assert made == ["e", "e"]


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
