"""Messages: all parts in one order, and short whatever was found."""

from synthstudio.core.errors import FormatError


def test_what_was_found_is_cut() -> None:
    error = FormatError(
        "no number", where="a.json", expected="one", got="9" * 5000, then="Mend it."
    )
    text = str(error)
    assert text.startswith("a.json: no number; expected one; got 999") and text.endswith("Mend it.")
    assert len(text) < 1200
