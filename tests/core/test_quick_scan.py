"""Ends of objects and numbers in them, found without parsing: never another than the parser's."""

import json
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from test_safe_json import TEXTS, VALUES

from synthstudio.core import safe_json
from synthstudio.core.safe_json import BEGIN, quick_scan, read_members

NAMES = ("id", "image_id")
LOOK = quick_scan(*NAMES, zero=["iscrowd"])
KEYS = st.sampled_from([*NAMES, "iscrowd", "a", 'a","id":7,"', "{", "}"])
OBJECTS = st.dictionaries(KEYS, st.integers(0, 3) | VALUES | st.dictionaries(KEYS, VALUES))


@settings(deadline=None, max_examples=50)
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


PLAIN = '{"id":1,"image_id":2,"iscrowd":0,"b":[{"id":9}]}'
REFUSED = [
    PLAIN.replace('"iscrowd":0', '"iscrowd":1'),
    PLAIN.replace('"iscrowd":0,', ""),
    PLAIN.replace('"id":1', '"id":1.5'),
    PLAIN.replace('"id":1', '"id":true'),
    PLAIN.replace('"id":1', '"id":' + "1" * 19),
    PLAIN.replace('"id":1', '"\\u0069d":1'),
    PLAIN.replace('"id":1', '"id" : 1'),
    PLAIN.replace("9", '{"c":{}}'),
    PLAIN[:-1],
    PLAIN.replace('"b"', '"b'),
]


def test_what_is_taken():
    found = LOOK.match(PLAIN)
    assert (found.end(), found["id"], found["image_id"]) == (len(PLAIN), "1", "2")
    for text in REFUSED:
        found = LOOK.match(text)
        assert found is None or None in found.groups(), text


@given(TEXTS)
def test_text_is_no_structure(text):
    written = json.dumps({"t": text, "id": 5, "image_id": 6, "iscrowd": 0}, separators=(",", ":"))
    found = LOOK.match(written)
    assert found is not None
    assert (found.end(), found["id"]) == (len(written), "5")
