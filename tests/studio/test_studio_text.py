"""Text of people where more could be read into it: Markdown, CSV, logs, names."""

import csv
import io

import pytest

from synthstudio.studio import text
from synthstudio.studio.text import csv_bytes, csv_cell, log_text, plain

NASTY = "<img src=x onerror=alert(1)>![a](http://evil.example/b.png)[c](javascript:x) **d** :red[e]"


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "|x", "%x", "\uff1d1"]
)
def test_no_cell_starts_a_formula(text):
    assert csv_cell(text) == "'" + text


@pytest.mark.parametrize("value", ["Ada", "-1.5", "+2e-3", -3, 0.5, None, "", "a=b"])
def test_other_cells_stay(value):
    assert csv_cell(value) == ("" if value is None else str(value))


def test_a_table_reads_back():
    rows = [["=1", 'a "b", c\nd'], ["x", -1]]
    data = csv_bytes(["=h", "n"], rows).decode()
    assert list(csv.reader(io.StringIO(data))) == [
        ["'=h", "n"],
        ["'=1", 'a "b", c\nd'],
        ["x", "-1"],
    ]


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
    ],
)
def test_messages_name_no_folder_of_the_machine(output, shown):
    assert text.without_paths(output) == (output if shown is None else shown)
