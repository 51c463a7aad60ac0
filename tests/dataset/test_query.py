"""Queries mean what a slow evaluator in plain Python, written apart, says they mean."""

import contextlib
import functools
import itertools
import math
import operator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from painted_frames import painted

from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import VISIBILITY
from synthstudio.core.people import VIEWS
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset import query as language
from synthstudio.dataset.matching import matching_frames, matching_people
from synthstudio.dataset.rows import (
    FRAME_SCHEMA,
    INSTANCE_SCHEMA,
    NO_STATE,
    frame_row,
    instance_rows,
)

JOINTS = get_skeleton("coco17").joints


class FakeSet:
    """Tables in memory, in shards of five frames."""

    def __init__(self, frames, people):
        self.tables = {
            "frames": pa.Table.from_pylist(frames, FRAME_SCHEMA),
            "instances": pa.Table.from_pylist(people, INSTANCE_SCHEMA),
        }

    def iter_tables(self, kind, columns):
        shard = self.tables[kind]["index" if kind == "frames" else "frame_index"].to_numpy() // 5
        for k in range(-(-len(self.tables["frames"]) // 5)):
            yield self.tables[kind].filter(shard == k).select(list(columns))


@functools.cache
def rows():
    rng = stream(3, "query rows")
    frames, people = [], []
    for index in range(18):
        split, variant = ("train", "val", "test")[index % 3], ("clean", "base", "base")[index % 3]
        made = painted(index, people=index % 4, variant=variant, split=split)
        frames.append(frame_row(made, f"images/{index:06d}.jpg"))
        frames[-1]["clip_id"] = f"clip {index // 4}" if index % 2 else None
        for row in instance_rows(made):
            for j in np.flatnonzero(rng.random(17) < 0.15):
                row["state"][j], row["cause"][j] = NO_STATE, "unlabelled"
                row["visibility_fractions"][5 * j : 5 * j + 5] = [math.nan] * 5
            row["ambiguous"] = (rng.random(17) < 0.3).tolist()
            if rng.random() < 0.2:
                row["occluded_fraction"], row["pose_family"] = None, None
            row["target_met"] = (None, True, False)[int(rng.integers(3))]
            people.append(row)
    by_index = {frame["index"]: frame for frame in frames}
    return FakeSet(frames, people), [(by_index[p["frame_index"]], p) for p in people]


# What is said is 1, or 0, or 0.5 where nobody knows: `and` is min, `or` is max, `not` is 1 - x.
OPS = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le}
OPS |= {">": operator.gt, ">=": operator.ge}


def _compare(value, op, wanted):
    return 0.5 if value is None or value != value else float(OPS[op](value, wanted))


def _one_of(value, some, not_in):
    return 0.5 if value is None else float((value in some) != not_in)


def _state(row, j, word):
    state = row["state"][j]
    if word == "unlabelled":
        return float(state == NO_STATE)
    if word == "ambiguous":
        return float(row["ambiguous"][j])
    wanted = {"visible": 2, "hidden": 1, "outside": 0}[word]
    return 0.5 if state == NO_STATE else float(state == wanted)


def _places(*names):
    return [JOINTS.index(name) for name in names]


WRISTS, EYES = _places("left_wrist", "right_wrist"), _places("left_eye", "right_eye")
FACE = _places("nose", "left_eye", "right_eye", "left_ear", "right_ear")
NUMBERS = {
    "occluded": lambda f, p: p["occluded_fraction"],
    "truncated": lambda f, p: p["truncated_fraction"],
    "crowd": lambda f, p: f["crowd_index"],
    "depth": lambda f, p: p["depth_m"],
    "age": lambda f, p: p["phenotype"][1],
    "box_height": lambda f, p: p["modal_box_px"][3],
    "frame": lambda f, p: f["index"],
    "people": lambda f, p: f["index"] % 4,
}
TEXTS = {
    "split": (lambda f, p: f["split"], ("train", "val", "test")),
    "variant": (lambda f, p: f["variant"], ("base", "clean", "view")),
    "pose family": (lambda f, p: p["pose_family"], ("standing", "sit")),
    "identity": (lambda f, p: p["identity"], ("p0", "p1", "p9")),
    "clip": (lambda f, p: f["clip_id"], ("clip 0", "clip 2")),
    "met": (lambda f, p: {None: None, True: "yes", False: "no"}[p["target_met"]], ("yes", "no")),
}
WORDS = ("visible", "hidden", "outside", "unlabelled", "ambiguous")


def _number_cases():
    for (name, get), op, wanted in itertools.product(NUMBERS.items(), OPS, (0, 0.05, 0.6, 3)):
        yield f"{name} {op} {wanted}", lambda f, p, g=get, o=op, w=wanted: _compare(g(f, p), o, w)


def _text_cases():
    for name, (get, known) in TEXTS.items():
        for op in ("=", "!="):
            told = f"{name} {op} '{known[0]}'"
            yield told, lambda f, p, g=get, o=op, w=known[0]: _compare(g(f, p), o, w)
        words = ", ".join(f'"{word}"' for word in known[:2])
        for word, out in (("in", False), ("not in", True)):
            told = f"{name} {word} ({words})"
            yield told, lambda f, p, g=get, some=known[:2], out=out: _one_of(g(f, p), some, out)


def _joint_tests():
    for word in WORDS:
        yield word, lambda p, j, word=word: _state(p, j, word)
    for who in ("self", "person", "object", "unknown"):
        yield f"hidden by {who}", lambda p, j, who=who: float(p["cause"][j] == who)
    some = ("self", "truncated")
    yield "cause in (self, truncated)", lambda p, j: float(p["cause"][j] in some)
    for k, name in enumerate(VISIBILITY):
        yield (
            f"{name} share > 0.25",
            lambda p, j, k=k: _compare(p["visibility_fractions"][5 * j + k], ">", 0.25),
        )


def _joint_cases():
    for words, one in _joint_tests():
        for text, places, how in (
            (f"left_wrist {words}", WRISTS[:1], max),
            (f"any right wrists {words}", WRISTS[1:], max),
            (f"any wrist {words}", WRISTS, max),
            (f"all eyes {words}", EYES, min),
            (f"any face {words}", FACE, max),
            (f"all joints {words}", range(17), min),
            (f"no eye {words}", EYES, lambda said: 1 - max(said)),
            (f"at least 3 joint {words}", range(17), lambda said: list(said).count(1) >= 3),
        ):
            yield text, lambda f, p, a=one, at=places, how=how: how(a(p, j) for j in at)


SIMPLE = [*_number_cases(), *_text_cases(), *_joint_cases()]


def _joined():
    rng = stream(5, "joined queries")
    for _ in range(60):
        (a, f), (b, g), (c, h) = (SIMPLE[int(k)] for k in rng.integers(0, len(SIMPLE), 3))
        yield f"({a}) and not ({b})", lambda x, y, f=f, g=g: min(f(x, y), 1 - g(x, y))
        both = f"({a}) and (({b}) or ({c}))"
        yield both, lambda x, y, f=f, g=g, h=h: min(f(x, y), max(g(x, y), h(x, y)))


@pytest.mark.parametrize(
    "cases", [_number_cases, _text_cases, _joint_cases, _joined], ids=lambda cases: cases.__name__
)
def test_the_same_people_as_in_plain_python(cases):
    held, pairs = rows()
    for text, slow in cases():
        query = language.parse(text, JOINTS)
        wanted = [(f["index"], p["instance"]) for f, p in pairs if slow(f, p) == 1]
        assert list(matching_people(held, query)) == wanted, text
        if not query.of_frames:
            frames = list(matching_frames(held, query))
            assert frames == sorted({index for index, _ in wanted}), text


def _ids(text):
    return list(matching_people(rows()[0], language.parse(text, JOINTS)))


def test_and_binds_more_than_or_and_not_more_than_both():
    a, b, c = "occluded > 0.1", "split = test", "left_wrist visible"
    assert _ids(f"{a} or {b} and {c}") == _ids(f"{a} or ({b} and {c})")
    assert _ids(f"not {a} and {b}") == _ids(f"(not {a}) and {b}")
    assert _ids("occluded > 10 %") == _ids("OCCLUDED > 0.1".lower()) == _ids("occluded > 1e-1")
    assert _ids("pose_family = standing") == _ids("pose family = standing") != []
    for text in ("(" * 500 + "occluded > 1" + ")" * 500, "occluded > 1 " * 5000):
        with pytest.raises(DatasetError):
            language.parse(text, JOINTS)
    assert _ids(" or ".join(["occluded > 2"] * 300)) == []


def test_objects_in_the_frame_and_views():
    everyone = _ids("instance >= 1")
    assert _ids("object = panel") == everyone and _ids("object != panel") == []
    assert _ids("object in (crate, panel)") == everyone and _ids("object = pan") == []
    by_view = [_ids(f"view = {view}") for view in VIEWS]
    assert sorted(itertools.chain(*by_view)) == everyone
    assert by_view[0] == everyone  # sticks face the camera
    query = language.parse("split = train", JOINTS)  # of frames alone: it finds empty ones
    assert query.of_frames
    assert list(matching_frames(rows()[0], query)) == [i for i in range(18) if i % 3 == 0]
    assert all(i % 4 for i, _ in _ids("split = train"))


@pytest.mark.parametrize(
    ("text", "at", "hint"),
    [
        ("left_wrist hiden", 11, "Did you mean hidden"),
        ("left_wirst hidden", 0, "Did you mean left_wrist"),
        ("any wrist hidden by objct", 20, "Did you mean object"),
        ("occluded >", 10, "ends too early"),
        ("occluded > lots", 11, "is not a number"),
        ("(occluded > 1", 13, "Expected )"),
        ("occluded > 1)", 12, "Expected one of and, or"),
        ("split = tset", 8, "Did you mean test"),
        ("variant = views", 10, "Did you mean view?"),
        ("split < test", 6, "compares numbers"),
        ("wrists hidden", 0, "any wrists, or all wrists"),
        ("both faces hidden", 5, "write all"),
        ("any big_toes hidden", 4, "is not a group"),
        ("occluded > 0.3 § 1", 15, "is not valid here"),
        ("at least some joints hidden", 9, "is not a count"),
        ("left_wrist hidden left_elbow visible", 18, "Expected one of and, or"),
        ("", 0, "ends too early"),
    ],
)
def test_errors_point_at_the_place(text, at, hint):
    with pytest.raises(DatasetError) as caught:
        language.parse(text, JOINTS)
    output, line, caret = str(caught.value).split("\n")
    assert hint in output, output
    assert line == f"  {text}" and caret.index("^") == at + 2


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            ["and", "or", "not", "(", ")", "any", "left_wrist", "hidden", "by", "object", ">",
             "0.3", "occluded", "in", ",", "share", "visible", "at", "least", "3", "wrists", "="]
                ),
        max_size=12,
    ).map(" ".join)
)  # fmt: skip
def test_any_text_is_understood_or_refused(text):
    with contextlib.suppress(DatasetError):
        language.parse(text, JOINTS)
