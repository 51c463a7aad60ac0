from synthstudio.core.last_used import LastUsed


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
