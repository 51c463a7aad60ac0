"""Which names may be names, and who reads the same as another."""

import pytest
from review_ops import ADMIN, LEAD

from synthstudio.core.errors import Refused
from synthstudio.review.team.accounts import accounts, choose_password, invite
from synthstudio.review.team.members import NAME_CHARS, checked_name, confusable_name, set_role

MIXED = ("\u0410da", "Ad\u0430", "Bo\u03b1", "\u0391da")
NO_NAMES = ("", " ", "<b>", "a\nb", "a\u202eb", "x" * 65, "=1", "-a", "[a](b)", "a;", "\0")


def test_what_may_be_a_name_and_who_reads_the_same():
    names = ["Ada", "  Ada ", "Zoë K.", "a@b.example", "李 雷", "O'Hara-2", "Jos\u00e9 O'Neil"]
    names += ["\u0410\u0434\u0430\u043c", "\u7530\u4e2d\u3055\u3093", "\u0391\u03bd\u03bd\u03b1"]
    for name in names:  # of one script, or of those that are written together
        assert checked_name(name) == name.strip()
    assert checked_name("\uff21da") == "Ada"  # full width: the same letters
    for name, why in (*((n, "invalid name") for n in NO_NAMES), *((n, "mixes") for n in MIXED)):
        with pytest.raises(Refused, match=why):
            checked_name(name)
    known = ("Bo", "Al", "\u0410\u0441\u0435", "Ada")
    found = [confusable_name(n, known) for n in ("\u0412\u043e", "AI", "A1", "Ace")]
    assert found == ["Bo", "Al", "Al", "\u0410\u0441\u0435"]
    assert not any(confusable_name(name, known) for name in ("Ada", "Bob", "Alan", "Adam"))
    assert [confusable_name(n, known) for n in ("ADA", "ada", "aDa")] == ["Ada"] * 3


def test_nobody_is_invited_by_a_name_that_reads_as_another(empty_store, cheap_hashes):
    store = empty_store
    set_role(store, "rex", "reviewer", by=ADMIN)  # a member
    choose_password(store, invite(store, "mia", by=ADMIN)[1], "seven brown otters")
    set_role(store, "mia", None, by=ADMIN)  # an account
    invite(store, "bo", by=ADMIN)  # somebody invited
    before = accounts(store)
    read_alike = ("Mia", "MIA", "m\u0456a", "\uff2d\uff29\uff21", "Rex", "Bo")
    no_names = ("mi\u200ba", "\u202emia", "mia\u2060", "m" * (NAME_CHARS + 1), "<mia>", " ")
    for name in (*read_alike, *no_names):
        for by in (LEAD, ADMIN):
            with pytest.raises(Refused, match="invalid name"):
                invite(store, name, by=by)
    assert accounts(store) == before
