"""Objects at URLs: what passes is tried again, what stays is one message without a secret."""

import os
import signal
from pathlib import Path

import pytest
from s3_server import faults, fresh_clients

from synthstudio.api.arguments import to_path
from synthstudio.core.errors import ArgumentError, DatasetError, DiskError, SynthStudioError
from synthstudio.core.places import Url, looks_like_url, parse_place, without_secrets
from synthstudio.dataset import store as stores
from synthstudio.dataset.store import Store


@pytest.fixture
def store(s3):
    return Store(Url("s3", f"{s3.bucket}/set"))


@pytest.fixture
def quick(monkeypatch):
    for name, value in {"TRIES": 3, "FIRST_S": 0.01, "CONNECT_S": 30, "READ_S": 30}.items():
        monkeypatch.setattr(stores, name, value)


def test_objects_there_and_back(store, s3):
    assert store.read("a") is None and store.names("shards") == [] and store.level() == []
    store.write("a", b"1")
    store.write("a", b"2")
    assert store.read("a") == b"2"
    assert store.create("shards/b", b"3") and not store.create("shards/b", b"4")
    assert store.create("shards/b", b"3")  # a second try of the same
    s3.put("set2/other", b"")
    assert store.names("shards") == ["b"] and store.level() == ["a", "shards"]
    store.move("shards/b", "aside/b")
    store.delete("a")
    store.delete("a")
    assert s3.objects() == {"aside/b": b"3"}


@pytest.mark.parametrize("kind", ["500", "503", "drop", "cut", "lost"])
def test_what_passes_is_tried_again(s3, store, quick, monkeypatch, kind):
    with faults(s3, lambda method, name, n: kind if n == 1 else None, monkeypatch):
        store.write("a", b"x" * 1000)
        assert store.create("b", b"y" * 1000)
        assert store.read("a") == b"x" * 1000
        puts = ["PUT"] if kind == "cut" else ["PUT"] * 2  # the answer to a PUT has no body
        assert [m for m, name in s3.asked if name == "set/a"] == [*puts, "GET", "GET"]
    assert s3.objects() == {"a": b"x" * 1000, "b": b"y" * 1000}


def test_what_does_not_pass_is_one_message(s3, store, quick, monkeypatch):
    for kind, tries, words in (
        ("503", 3, r"set/a: the store failed 3 times; got "),
        ("403", 1, r"the store denied access.*got AccessDenied, .*AWS_ACCESS_KEY_ID"),
        ("400", 1, r"the store denied access.*got InvalidToken, .*AWS_ACCESS_KEY_ID"),
    ):
        with faults(s3, lambda *_, kind=kind: kind, monkeypatch):
            with pytest.raises(DiskError, match=words):
                store.write("a", b"x")
            assert s3.asked == [("PUT", "set/a")] * tries
        s3.asked.clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://somebody:hidden-word@127.0.0.1:9/?key=hidden")
    with fresh_clients(), pytest.raises(DiskError, match="3 times") as raised:
        store.write("a", b"x")
    assert "hidden" not in str(raised.value) and s3.objects() == {}


def test_no_bucket_and_no_credentials(s3, monkeypatch):
    store = Store(Url("s3", "no-such-bucket/set"))
    writing = (lambda: store.write("a", b""), lambda: store.create("a", b""))
    for ask in (lambda: store.read("a"), *writing, lambda: store.names("shards"), store.level):
        with pytest.raises(DatasetError, match="no such bucket; got no-such-bucket"):
            ask()
    azure = type("HttpResponseError", (Exception,), {"error_code": "ContainerNotFound"})
    with pytest.raises(DatasetError, match="no such bucket"):
        store._try("a", lambda *_: (_ for _ in ()).throw(azure()))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with fresh_clients(), pytest.raises(DatasetError, match=r"no credentials.*AWS_ACCESS_KEY_ID"):
        Store(Url("s3", f"{s3.bucket}/set")).read("a")


def test_a_forked_process_speaks_for_itself(store):
    store.write("a", b"1")
    child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)  # a lock that another thread held is never freed: the test ends
        ended = 1
        try:
            ended = 0 if store.read("a") == b"1" else 2
        finally:
            os._exit(ended)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.read("a") == b"1"


def test_places():
    assert parse_place("s3://b/a/") == parse_place("s3a://b/a") == Url("s3", "b/a")
    assert parse_place(Path("s3://b/a")) == Url("s3", "b/a")  # pathlib leaves one /
    assert parse_place("gcs://b/a") == Url("gs", "b/a") and str(Url("gs", "b/a")) == "gs://b/a"
    assert parse_place("file:///data/a%20b") == Path("/data/a b")
    assert parse_place("file://localhost/data") == parse_place("file:/data") == Path("/data")
    assert parse_place("exports/a") == Path("exports/a") and parse_place("a:b") == Path("a:b")
    assert Url("s3", "b/a").name == "a" and Url("s3", "b/a") / "c" == Url("s3", "b/a/c")
    assert looks_like_url("http:/x") and not looks_like_url("./x:/y") and not looks_like_url("c:/x")
    text = 'cannot reach "https://me:word@host:9/a?sig=1&x=2" or s3://b/c'
    assert without_secrets(text) == 'cannot reach "https://host:9/a" or s3://b/c'
    assert without_secrets("no s3://KEY:ab/cd@b/c here") == "no s3://b/c here"


NO_FOLDER, SECRET = "not a folder in a bucket", "must not hold a password, query or fragment"
NAMED = r"^s3://b/a: a URL must not hold a password"
NO_PLACES = [
    *((text, NO_FOLDER) for text in ("s3://b", "s3:///a", "s3://b/../a", "s3://b//a")),
    *((f"s3{text}", SECRET) for text in ("://me:hidden@b/a", "://b/a?token=hidden")),
    *((f"s3{text}hidden@b/a", NAMED) for text in ("://KEY:ab/", ":/KEY:ab/")),
    ("s3://b/a?sig='hidden", NAMED),
    *((text, "not hold a password") for text in ("s3://b/a?sig=x@hidden", "s3://KEY:x?hidden@b/a")),
    ("ftp://me:hidden@b/a", r"unsupported URL scheme.* got ftp://"),
    ("file://host/data", r"file://host/data: .*expected such as file:///data/people"),
    ("file:./data", r"^file:\./data: a file URL must name a local folder"),
]


def test_urls_that_are_none():
    for text, words in NO_PLACES:
        with pytest.raises(SynthStudioError, match=words) as raised:
            parse_place(text)
        assert "hidden" not in str(raised.value)
        with pytest.raises(ArgumentError, match="a URL is not supported here; got") as raised:
            to_path(Path(text), "out")
        assert "hidden" not in str(raised.value)
