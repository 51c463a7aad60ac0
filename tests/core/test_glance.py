"""Ends of objects and numbers in them, found without parsing: never another than the parser's."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_safe_json import TEXTS, VALUES

from synthstudio.core import safe_json
from synthstudio.core.safe_json import BEGIN, glance, read_members

NAMES = ("id", "image_id")
LOOK = glance(*NAMES, zero=["iscrowd"])
KEYS = st.sampled_from([*NAMES, "iscrowd", "a", 'a","id":7,"', "{", "}"])
OBJECTS = st.dictionaries(KEYS, st.integers(0, 3) | VALUES | st.dictionaries(KEYS, VALUES))


@settings(deadline=None, max_examples=60)
@given(st.lists(OBJECTS | VALUES), st.integers(1, 40), st.booleans(), st.booleans())
def test_what_is_taken_ends_and_says_what_the_parser_says(
    tmp_path_factory, items, chunk, blanks, ascii_
):
    path = tmp_path_factory.mktemp("json") / "a.json"
    signs = (", ", ": ") if blanks else (",", ":")
    path.write_text(json.dumps({"x": items}, ensure_ascii=ascii_, separators=signs), "utf-8")
    before, safe_json._CHUNK = safe_json._CHUNK, chunk
    try:
        spans = [
            [span for _, span in read_members(path, streamed="x", glances=looks)]
            for looks in (None, {"x": LOOK}, {"x": glance()})
        ]
    finally:
        safe_json._CHUNK = before
    raw = path.read_bytes()
    for item, parsed, glanced, ended in zip(items, *(found[1:] for found in spans), strict=True):
        assert {(s.start, s.stop) for s in (parsed, glanced, ended)} == {
            (parsed.start, parsed.stop)
        }
        assert json.loads(raw[ended.start : ended.stop]) == item
        if glanced.value != item:
            assert glanced.value == {name: item[name] for name in (*NAMES, "iscrowd")}
            assert glanced.value["iscrowd"] == 0
    assert spans[0][0] is BEGIN


PLAIN = '{"id":1,"image_id":2,"iscrowd":0,"b":[{"id":9}]}'


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (PLAIN, True),
        (PLAIN.replace('"iscrowd":0', '"iscrowd":1'), False),
        (PLAIN.replace('"iscrowd":0,', ""), False),
        (PLAIN.replace('"id":1', '"id":1.5'), False),
        (PLAIN.replace('"id":1', '"id":true'), False),
        (PLAIN.replace('"id":1', '"id":' + "1" * 19), False),
        (PLAIN.replace('"id":1', '"\\u0069d":1'), False),
        (PLAIN.replace('"id":1', '"id" : 1'), False),
        (PLAIN.replace("9", '{"c":{}}'), False),
        (PLAIN[:-1], False),
        (PLAIN.replace('"b"', '"b'), False),
    ],
)
def test_what_is_taken(text, taken):
    found = LOOK.match(text)
    assert (found is not None and None not in found.groups()) == taken
    if taken:
        assert found is not None
        assert (found.end(), found["id"], found["image_id"]) == (len(text), "1", "2")


@given(TEXTS)
def test_text_is_no_structure(text):
    written = json.dumps({"t": text, "id": 5, "image_id": 6, "iscrowd": 0}, separators=(",", ":"))
    found = LOOK.match(written)
    assert found is not None
    assert (found.end(), found["id"]) == (len(written), "5")
