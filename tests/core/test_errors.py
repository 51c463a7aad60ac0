"""Messages: all parts in one order, and short whatever was found."""

import pytest

from synthstudio.core.errors import AssetError, FormatError


def test_what_was_found_is_cut():
    error = FormatError(
        "no number", where="a.json", expected="one", got="9" * 5000, then="Mend it."
    )
    text = str(error)
    assert text.startswith("a.json: no number; expected one; got 999") and text.endswith("Mend it.")
    assert len(text) < 1200


@pytest.mark.parametrize("field", ["where", "expected", "got"])
def test_a_message_stays_short_whatever_it_quotes(field):
    text = str(AssetError("too long", **{field: "a" * 100_000}))
    assert "too long" in text and "…" in text and len(text) < 1100
    assert len(str(AssetError("a" * 100_000))) < 3100
