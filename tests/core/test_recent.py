from synthstudio.core.recent import Recent


def test_what_the_last_two_frames_needed_is_kept_and_nothing_older():
    recent, made = Recent(), []

    def get(key):
        return recent.get(key, lambda: made.append(key) or f"made {key}")

    frames = ["ab", "ac", "ab", "dd", "ee", "a"]
    for frame in frames:
        recent.next_frame()
        assert [get(key) for key in frame] == [f"made {key}" for key in frame]
        assert len(recent) <= 4
    # b is known from two frames before; a is forgotten once two frames went without it.
    assert made == ["a", "b", "c", "b", "d", "e", "a"]


def test_switched_off_it_holds_nothing():
    recent = Recent(on=False)
    made = [recent.get("a", lambda: object()) for _ in range(2)]
    assert made[0] is not made[1]
    assert len(recent) == 0


def test_none_is_a_value_like_any_other():
    recent, calls = Recent(), []
    for _ in range(2):
        assert recent.get("a", lambda: calls.append(1)) is None
    assert calls == [1]
