import json
import math
import tracemalloc
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthstudio.core import safe_json
from synthstudio.core.errors import FormatError
from synthstudio.core.safe_json import BEGIN, quick_scan, read_list, read_members, read_value

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=20)
@given(
    st.lists(VALUES), st.dictionaries(TEXTS, VALUES, max_size=4), st.integers(1, 9), st.booleans()
)
def test_any_document_comes_back_whatever_the_chunks(tmp_path_factory, items, rest, chunk, ascii_):
    path = tmp_path_factory.mktemp("json") / "a.json"
    value = {**rest, "images": items}
    path.write_text(json.dumps(value, ensure_ascii=ascii_, indent=chunk % 3 or None), "utf-8")
    raw, found = path.read_bytes(), {}
    with mock.patch.object(safe_json, "_CHUNK", chunk):
        for key, span in read_members(path, streamed=("images",)):
            if span is BEGIN:
                found[key] = []
                continue
            assert json.loads(raw[span.start : span.stop]) == span.value
            if key == "images":
                found[key].append(span.value)
            else:
                found[key] = span.value
    assert found == value
    path.write_text(json.dumps(items), "utf-8")
    assert [span.value for span in read_list(path)] == items
    assert read_value(path) == items


def peak_of(path):
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=r"too long|recursion|Expecting value"):
            for _ in read_members(path, streamed=("images",)):
                pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "got the end"),
        (b"[1]", r"of another structure; expected \{, the start of an object; got a list"),
        (b"x", r"invalid JSON; expected \{"),
        (b'{"images": {}}', r"another structure; expected \[, the start of a list; got an object"),
        (b'{"images": [1', "expected , or ]"),
        (b'{"images": [1 2]}', "expected , or ]"),
        (b'{"images": [1],}', "invalid JSON"),
        (b'{"images": [NaN]}', "NaN is not a JSON number"),
        (b'{"images": [-Infinity]}', "not a JSON number"),
        (b'{"a": 1, "a": 2}', "duplicate key"),
        (b'{"images": [{"id": 1, "id": 2}]}', "id is duplicated"),
        (b'{"images": ["\xff"]}', "not UTF-8"),
        (b'{"images": ["\xc3', "not UTF-8"),
        (b'{"a": 1} x', "text after the end"),
        (b'{"images": [' + b"[" * 100_000, "recursion"),
        (b'{"images": ["a\nb"]}', "control character"),
        (b"{1: 2}", "a key is not text"),
        (rb'{"images": ["\ud800"]}', "surrogates"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(data, message, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=message) as caught:
        list(read_members(path, streamed=("images",)))
    assert "a.json" in str(caught.value)


@pytest.mark.parametrize(
    "evil",
    [b'"' + b"x" * 3_000_000, b'"' + rb"\"" * 1_500_000, b"9" * 3_000_000, b"[0," * 1_000_000,
     b" " * 3_000_000 + b"\x00"],
    ids=["text", "escapes", "digits", "lists", "blanks"],
)  # fmt: skip
def test_an_endless_token_takes_no_memory(evil, tmp_path, monkeypatch):
    monkeypatch.setattr(safe_json, "MAX_ELEMENT_CHARS", 400_000)
    (tmp_path / "a.json").write_bytes(b'{"images": [' + evil)
    assert peak_of(tmp_path / "a.json") < 12_000_000


def test_files_that_cannot_be_read(tmp_path):
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(FormatError):
            list(read_list(path))
    (tmp_path / "a.json").write_text("[" * 50)
    with pytest.raises(FormatError, match="too large"):
        read_value(tmp_path / "a.json", limit=10)


@pytest.mark.parametrize("nan", [False, True])
def test_a_number_that_no_float_holds_is_infinite(tmp_path, nan):
    path = tmp_path / "a.json"
    path.write_text(f'{{"a": -{"9" * 400}, "b": {"9" * 200}}}')
    found = {key: span.value for key, span in read_members(path, streamed=(), nan=nan)}
    assert found == {"a": -math.inf, "b": int("9" * 200)}


NAMES = ("id", "image_id")
LOOK = quick_scan(*NAMES, zero=["iscrowd"])
KEYS = st.sampled_from([*NAMES, "iscrowd", "a", 'a","id":7,"', "{", "}"])
OBJECTS = st.dictionaries(KEYS, st.integers(0, 3) | VALUES | st.dictionaries(KEYS, VALUES))


@settings(deadline=None, max_examples=25)
@given(st.lists(OBJECTS | VALUES), st.integers(1, 40), st.booleans(), st.booleans())
def test_what_is_taken_ends_and_says_what_the_parser_says(
    tmp_path_factory, items, chunk, blanks, ascii_
):
    path = tmp_path_factory.mktemp("json") / "a.json"
    signs = (", ", ": ") if blanks else (",", ":")
    path.write_text(json.dumps({"x": items}, ensure_ascii=ascii_, separators=signs), "utf-8")
    with mock.patch.object(safe_json, "_CHUNK", chunk):
        spans = [
            [span for _, span in read_members(path, streamed="x", quick_scans=looks)]
            for looks in (None, {"x": LOOK}, {"x": quick_scan()})
        ]
    raw = path.read_bytes()
    assert spans[0][0] is BEGIN
    for item, *three in zip(items, *(found[1:] for found in spans), strict=True):
        ((start, stop),) = {(s.start, s.stop) for s in three}
        assert json.loads(raw[start:stop]) == item
        if three[1].value != item:
            assert three[1].value == {name: item[name] for name in (*NAMES, "iscrowd")}
            assert three[1].value["iscrowd"] == 0
