"""Tokens: whom they serve, for how long, and what becomes of altered ones."""

import stat
from types import SimpleNamespace

import pytest

from synthstudio.core.errors import StudioError
from synthstudio.studio.access import (
    LIFETIME_S,
    STEP_S,
    Grant,
    Tokens,
    load_secret,
    read_private_file,
)

SECRET = bytes(range(32))
GRANT = Grant(kind="image", dataset="d" * 64, user="Ada", browser="b", frame=3)


def test_an_address_stays_the_same_and_lasts_a_quarter_of_an_hour():
    for start in range(0, 2 * STEP_S, 61):
        clock = SimpleNamespace(at=1_000_000.0 + start)
        tokens = Tokens(SECRET, now=lambda clock=clock: clock.at)
        first = tokens.token(GRANT)
        clock.at += STEP_S
        assert tokens.token(GRANT) == first
        assert tokens.read(first, kinds=("image",)) == GRANT
    clock.at += LIFETIME_S
    assert tokens.token(GRANT) != first  # negative control: it does not stay for ever
    with pytest.raises(StudioError, match="expired"):
        tokens.read(first, kinds=("image",))


def test_every_altered_character_is_noticed():
    tokens = Tokens(SECRET)
    text = tokens.token(GRANT)
    assert tokens.read(text, kinds=("image",)) == GRANT
    for k, old in enumerate(text):
        altered = text[:k] + ("A" if old != "A" else "B") + text[k + 1 :]
        try:
            assert tokens.read(altered, kinds=("image",)) == GRANT  # base64's unused last bits
            assert k == len(text) - 1
        except StudioError:
            pass


def test_nonsense_and_tokens_of_another_server_or_kind():
    for text in ("", ".", "a.b", "é", "../x", "A" * 5000, "\0", "[" * 2000):
        with pytest.raises(StudioError):
            Tokens(SECRET).read(text, kinds=("image",))
    text = Tokens(SECRET).token(GRANT)
    with pytest.raises(StudioError, match="signed"):
        Tokens(b"x" * 32).read(text, kinds=("image",))
    with pytest.raises(StudioError, match="for image"):
        Tokens(SECRET).read(text, kinds=("download",))


def test_the_server_key_signs_nothing_that_other_parts_read():
    tokens = Tokens(SECRET)
    cookie = tokens.new_browser()
    with pytest.raises(StudioError):
        tokens.read(cookie, kinds=("image",))
    assert tokens.browser(tokens.token(GRANT)) == ""


def test_browsers():
    tokens = Tokens(SECRET)
    one, two = tokens.new_browser(), tokens.new_browser()
    assert tokens.browser(one) == Tokens(SECRET).browser(one) != tokens.browser(two)
    for bad in (None, "", "x", one + "x", one.split(".")[0], "é"):
        assert tokens.browser(bad) == ""


def test_the_key_file_is_made_once_and_for_its_owner_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("SYNTHSTUDIO_SECRET", raising=False)
    first = load_secret(tmp_path / "state")
    path = tmp_path / "state" / "studio.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and len(first) == 32
    assert load_secret(tmp_path / "state") == first
    path.chmod(0o640)
    with pytest.raises(StudioError, match="chmod 600"):
        load_secret(tmp_path / "state")


def test_the_key_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHSTUDIO_SECRET", "k" * 32)
    assert load_secret(tmp_path / "none") == b"k" * 32
    assert not (tmp_path / "none").exists()
    monkeypatch.setenv("SYNTHSTUDIO_SECRET", "short")
    with pytest.raises(StudioError, match="too short"):
        load_secret(tmp_path)


def test_private_files(tmp_path):
    path = tmp_path / "secrets.toml"
    with pytest.raises(StudioError, match="cannot read"):
        read_private_file(path)
    path.write_text("x")
    for mode, fine in ((0o600, True), (0o400, True), (0o644, False), (0o620, False)):
        path.chmod(mode)
        if fine:
            assert read_private_file(path) == "x"
        else:
            with pytest.raises(StudioError, match="mode"):
                read_private_file(path)
