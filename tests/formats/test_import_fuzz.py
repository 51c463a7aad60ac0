"""Damaged and hostile files: only ever our own errors, nothing left behind, nothing outside.

SYNTHSTUDIO_FUZZ=1000 tries that many files a format instead of a few.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from exchange_sets import make_set, rows_of, tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthstudio.core.errors import SynthStudioError
from synthstudio.formats.export import export
from synthstudio.formats.imports import import_from
from synthstudio.formats.registry import FORMATS

EXAMPLES = int(os.environ.get("SYNTHSTUDIO_FUZZ", "8"))
NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")
WORD = re.compile(rb"[A-Za-z_./-]{3,}")
HOSTILE = [
    b"NaN",
    b"1e308",
    b"-1e308",
    b"1e400",
    b"-1",
    b"9" * 5000,
    b"18446744073709551616",
    b"null",
    b"true",
    b'"x"',
    b"[]",
    b"{}",
    b"[" * 2000,
    b"../../evil",
    b"/etc/passwd",
    b"\xff\xfe\x00",
    b"\\ud800",
    b"a" * 100_000,
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
    b"&lol;",
    b"C:\\evil",
    b"",
    b"\x00",
    b'"',
    b"'",
    b"]]>",
    b"<a>" * 50,
    b"*a",
    b"&a [*a]",
    b"999999999",
    b"0.5",
]


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    root = tmp_path_factory.mktemp("fuzz")
    original = make_set(root / "set", frames=3)
    for name in FORMATS:
        export(name, original.folder, root / name)
    return root


@st.composite
def damage(draw, data):
    """Return a file's bytes with one change."""
    kind = draw(st.sampled_from(("cut", "flip", "number", "word", "insert", "double", "empty")))
    at = draw(st.integers(0, max(0, len(data) - 1)))
    evil = draw(st.sampled_from(HOSTILE))
    if kind == "cut":
        return data[:at]
    if kind == "flip":
        return data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
    if kind == "insert":
        return data[:at] + evil + data[at:]
    if kind == "double":
        stop = min(len(data), at + draw(st.integers(1, 400)))
        return data[:stop] + data[at:stop] + data[stop:]
    if kind in ("number", "word"):
        found = list((NUMBER if kind == "number" else WORD).finditer(data))
        if found:
            hit = draw(st.sampled_from(found))
            return data[: hit.start()] + evil + data[hit.end() :]
    return b""


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_whatever_is_done_to_a_file_the_answer_is_ours(name, exports):
    files = {p: d for p, d in tree(exports / name).items() if not p.endswith(".jpg")}
    heads = [p for p in files if not p.startswith("synthstudio/")] or list(files)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize="SYNTHSTUDIO_FUZZ" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def one(data):
        path = data.draw(st.sampled_from(heads * 3 + sorted(files)))
        bad = data.draw(damage(files[path]))
        with tempfile.TemporaryDirectory() as place:
            root = Path(place)
            shutil.copytree(exports / name, root / "in")
            (root / "in" / path).write_bytes(bad)
            before = tree(root / "in")
            try:
                import_from(name, root / "in", root / "sub" / "out")
            except SynthStudioError as error:
                assert str(error)
                assert not (root / "sub").exists() or not list((root / "sub").iterdir())
            else:
                rows_of(root / "sub" / "out")
            assert tree(root / "in") == before
            assert {p.name for p in root.iterdir()} <= {"in", "sub"}

    one()
