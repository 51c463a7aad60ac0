"""Text of people where more could be read into it; names of data sets and of addresses."""

import csv
import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from synthstudio.core.errors import Refused
from synthstudio.core.places import Url
from synthstudio.studio import page_parts
from synthstudio.studio.context import matching_keys as keys_of
from synthstudio.studio.context import titles
from synthstudio.studio.guard import log_text
from synthstudio.studio.page_parts import csv_bytes, csv_cell, plain

NASTY = "<img src=x onerror=alert(1)>![a](http://evil.example/b.png)[c](javascript:x) **d** :red[e]"


FORMULAS = ("=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "|x", "%x", "\uff1d1")


def test_no_cell_starts_a_formula_and_a_table_reads_back():
    for formula in FORMULAS:
        assert csv_cell(formula) == "'" + formula
    for value in ("Ada", "-1.5", "+2e-3", -3, 0.5, None, "", "a=b"):
        assert csv_cell(value) == ("" if value is None else str(value))
    data = csv_bytes(["=h", "n"], [["=1", 'a "b", c\nd'], ["x", -1]]).decode()
    rows = [["'=h", "n"], ["'=1", 'a "b", c\nd'], ["x", "-1"]]
    assert list(csv.reader(io.StringIO(data))) == rows


def test_plain_text_keeps_its_letters_and_loses_its_markup():
    shown = plain(NASTY)
    bare = shown.replace("\\", "").replace("\u2060", "")
    assert bare == NASTY
    for mark in "<>[]()*:!`_#":
        assert all(shown[k - 1] == "\\" for k, c in enumerate(shown) if c == mark)
    assert plain("a\nb\u202ec\0d") == "a b c d"
    for address in ("http://a.example", "WWW.a.example", "a@b.example"):
        assert address not in plain(address).replace("\\", "")  # else Markdown makes it a link


def test_log_lines_are_one_line():
    assert log_text("a\nb\r\x1b[31m\u2028") == "a\\nb\\r\\x1b[31m\\u2028"
    assert log_text("x" * 500).startswith("x" * 200 + "... (500")


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("/srv/exports/first: gone; got 7.", "first: gone; got 7."),
        ("sqlite:////srv/state/review.db: busy", "review.db: busy"),
        ("open '/home/ada/my set/a.json'", "open 'my set/a.json'"),
        ("https://studio.example/review/1 and 1/2/3 and and/or/not", None),
        ("/tmp", None),
        ("expected a key of GET /api/v1/sets", None),
        (Refused("bad", expected="--db", reason="invalid"), "bad; expected --db."),
        ("postgresql+psycopg://u@127.0.0.1:5/rev: broken; got 1", "database: broken; got 1"),
        (Refused("full", where="u@h/rev", got="h", reason="busy"), "full: try again in a moment"),
    ],
)
def test_messages_name_no_folder_of_the_machine(output, shown):
    assert page_parts.without_paths(output) == (output if shown is None else shown)


KEYS = "a" * 64, "b" * 64, "c" * 64


def opened(*places):
    named = [(p.parent if p.name == "dataset" else p).name for p in places]
    return {
        key: SimpleNamespace(key=key, name=name, dataset=SimpleNamespace(place=place))
        for key, name, place in zip(KEYS, named, places, strict=False)
    }


def test_sets_of_one_name_differ():
    def shown(*places):
        return list(titles(opened(*places).values()).values())

    assert shown(Path("/x/people"), Path("/y/dogs")) == ["people", "dogs"]
    assert shown(Path("/x/people"), Path("/y/people/dataset")) == ["people (x)", "people (y)"]
    assert shown(Path("/people"), Url("s3", "bucket/people")) == ["people", "people (bucket)"]
    same = shown(Path("/1/x/people"), Path("/2/x/people"), Path("/y/people"))
    assert same == ["people (x) (aaaaaaaa)", "people (x) (bbbbbbbb)", "people (y)"]
    assert len(set(shown(Path("/x/a"), Path("/y/a"), Path("/z/a (x)")))) == 3


def test_what_an_address_means():
    sets = opened(Path("/x/people"), Path("/y/people"), Path("/y/dogs"))
    assert keys_of(sets, "people (y)") == [KEYS[1]] and keys_of(sets, "dogs") == [KEYS[2]]
    assert keys_of(sets, "people") == [*KEYS[:2]] and keys_of(sets, KEYS[1]) == [KEYS[1]]
    assert keys_of(sets, "") == keys_of(sets, "../people") == keys_of(sets, KEYS[1][:8]) == []
