"""The table of people answers as `filter` does, from memory or from a cache that proves itself."""

import json
import math

import numpy as np
import pytest
from people_rows import JOINTS, Rows, make_rows, write_rows

from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import CAUSES
from synthstudio.core.rng import stream
from synthstudio.dataset.matching import evaluate, matching_people
from synthstudio.dataset.query import FIELDS, parse
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import NO_STATE
from synthstudio.review.risk import table as caching
from synthstudio.review.risk.people import facet, joint_facet
from synthstudio.review.risk.review_fields import matching_rows
from synthstudio.review.risk.table import people_table


def _mixed():
    """Drawn people and people of photos in one set, with every null that rows may hold."""
    rng = stream(5, "mixed rows")
    drawn, photos = make_rows(40, each=3), make_rows(40, each=3, seed=2, photos=True)
    out = Rows()
    for index in range(40):
        which = photos if index % 3 == 0 else drawn
        out.frames.append(dict(which.frames[index]))
        if index % 8 == 7:
            continue  # a frame without people
        for row in which.people[3 * index : 3 * index + 3]:
            row["target_met"] = (None, True, False)[int(rng.integers(3))]
            row["occluded_fraction"] = (None, math.nan, 0.3, 0.25)[int(rng.integers(4))]
            j = int(rng.integers(17))
            row["visibility_fractions"][5 * j : 5 * j + 5] = [0.25, 0.5, 0.25, 0.0, 0.0]
            row["pose"] = (None, "lying", "")[int(rng.integers(3))]
            out.people.append(row)
    columns = ("object_kind", "object_instance", "object_held_by")
    out.frames[3] |= {name: [] for name in columns}
    out.frames[4] |= zip(columns, (["crate", "lamp"], [1002, 1003], [0, 1]), strict=True)
    out.frames[5]["crowd_index"] = math.nan
    return out


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    return write_rows(_mixed(), tmp_path_factory.mktemp("mixed") / "set")


@pytest.fixture(scope="module")
def table(mixed):
    return people_table(mixed)


@pytest.fixture(scope="module")
def mapped(mixed, tmp_path_factory):
    return people_table(mixed, cache=tmp_path_factory.mktemp("cache"))


EVERY = [
    f"{name} > 0.25" if field.kind == "number" else f"{name} != '{(field.values or ('yes',))[0]}'"
    for name, field in FIELDS.items()
]
SOME = """occluded > 0.2 | any joint unlabelled | view = front | object = lamp | pose = ''
met = no | left_wrist visible share = 0.25 | not occluded < 0.3
pose not in ('lying', '') | layer = 'depth'
object = 'cra' | occluded in (0.25, 1) | depth not in (0.1, 40)
split = val or view in (left, back)
all wrist visible and not crowd >= 0.2 | at least 3 joint hidden by object | no eye outside
nose cause in (self, unknown) | any ankle cause != object | at least 20 joint ambiguous
(met = yes or met = no) and not (identity = p3) | at least 0 joint visible | clip != 'clip 1'"""
SOME_QUERIES = [text.strip() for line in SOME.splitlines() for text in line.split("|")]


def test_the_same_people_as_filter(mixed, table, mapped):
    """Of every field, and of each form of a test; some queries find some people and not all."""
    found: set[int] = set()
    for text in [*EVERY, *SOME_QUERIES]:
        query = parse(text, JOINTS)
        wanted = list(matching_people(mixed, query))
        assert table.ids(matching_rows(table, query, {})) == wanted, text
        assert mapped.ids(matching_rows(mapped, query, {})) == wanted, text
        yes, no = evaluate(query.tree, table)
        assert not (yes & no).any()
        found.add(len(wanted))
    assert len(found) > 20


def test_columns_are_what_the_rows_say(mixed, table):
    rows = list(mixed.iter_instances())
    assert (table.people, table.frames) == (len(rows), 40)
    for row, own in enumerate(rows):
        assert table.row_of(own["frame_index"], own["instance"]) == row
        px = np.array(own["joints_px"]).reshape(-1, 2)
        np.testing.assert_allclose(table.joints_px[row], px, rtol=1e-6)
        np.testing.assert_array_equal(
            table.visibility_fractions[row], np.reshape(own["visibility_fractions"], (-1, 5))
        )
        np.testing.assert_array_equal(table.state[row], own["state"])
        assert [CAUSES[c] for c in table.cause[row]] == own["cause"]
        np.testing.assert_array_equal(table.modal_box_px[row], own["modal_box_px"])
        assert table.texts("pose", np.array([row])) == [own["pose"]]
        off, mirror = table.arrays["off_px"][:, row], table.arrays["mirror_px"][:, row]
        skeleton = table.arrays["bone_m"][:, row]
        if own["joints_camera_m"] is None:
            assert np.isnan(off).all() and np.isnan(skeleton).all()
        else:
            assert off.max() < 1e-3 < mirror[1]  # float16 of exact places; an eye is not the other
            at = np.reshape(own["joints_camera_m"], (-1, 3))
            np.testing.assert_allclose(skeleton[0], np.linalg.norm(at[5] - at[7]), rtol=1e-4)
    with pytest.raises(DatasetError, match="no such person"):
        table.row_of(4, 9)
    found = table.rows_of(np.array([4, 0, 99, 7]), np.array([2, 3, 1, 1]))
    assert found.tolist() == [table.row_of(4, 2), table.row_of(0, 3), -1, -1]
    with pytest.raises(ValueError, match="read-only"):
        table.state[0, 0] = 1


def test_facets_count_people(mixed, table):
    rows = list(mixed.iter_instances())
    poses = facet(table, "pose")
    assert poses["lying"] == sum(row["pose"] == "lying" for row in rows)
    assert list(poses.values()) == sorted(poses.values(), reverse=True)
    some = matching_rows(table, parse("split = test", JOINTS), {})
    assert 0 < sum(facet(table, "pose", rows=some).values()) < sum(poses.values())
    names, counts = joint_facet(table)
    assert counts.sum(axis=1).tolist() == [table.people] * 17
    assert counts[9, names.index("unlabelled")] == sum(r["state"][9] == NO_STATE for r in rows)
    assert joint_facet(table, rows=some)[1].sum() == 17 * len(some)
    with pytest.raises(DatasetError, match="no such field"):
        facet(table, "shoe size")


def test_a_damaged_cache_is_built_again(mixed, tmp_path, caplog):
    first = people_table(mixed, cache=tmp_path)
    assert isinstance(first.arrays["visibility_fractions"], np.memmap)
    (folder,) = tmp_path.iterdir()
    wanted = {name: np.array(array) for name, array in first.arrays.items()}
    head = json.loads((folder / "table.json").read_text())

    def rebuilt():
        caplog.clear()
        again = people_table(mixed, cache=tmp_path)
        assert "built again" in caplog.text
        for name, array in wanted.items():
            np.testing.assert_array_equal(again.arrays[name], array)

    people_table(mixed, cache=tmp_path)
    assert "built again" not in caplog.text  # a sound one is taken
    flipped = bytearray((folder / "state.npy").read_bytes())
    flipped[-3] ^= 1
    (folder / "state.npy").write_bytes(flipped)
    rebuilt()
    (folder / "visibility_fractions.npy").unlink()
    rebuilt()
    (folder / "table.json").write_text("{")
    rebuilt()
    (folder / "table.json").write_text(json.dumps(head | {"version": 0}))
    rebuilt()
    # Columns of a pickle are never loaded, even under their right hash.
    np.save(folder / "cause.npy", np.array([{"a": 1}], object), allow_pickle=True)
    head = json.loads((folder / "table.json").read_text())
    head["arrays"]["cause"] = caching.file_sha256(folder / "cause.npy")
    (folder / "table.json").write_text(json.dumps(head))
    rebuilt()
    rows = _mixed()  # another set has another one
    rows.people[5]["state"][3] = 1
    other = write_rows(rows, tmp_path.parent / "other")
    assert people_table(other, cache=tmp_path).state[5, 3] == 1
    assert caching.rows_key(other) != caching.rows_key(mixed)


def test_sets_without_people_and_rows_that_do_not_fit(tmp_path):
    empty = write_rows(Rows(frames=make_rows(3).frames), tmp_path / "empty")
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        table = people_table(empty, cache=cache)
        assert (table.people, table.frames) == (0, 3)
        assert (
            matching_rows(table, parse("occluded > 0 or not split = train", JOINTS), {}).size == 0
        )
        assert facet(table, "pose") == {}
    short = make_rows(2)
    short.people[3]["state"] = [2] * 16
    with pytest.raises(DatasetError, match="17 values in each state"):
        people_table(write_rows(short, tmp_path / "short"))
    held = write_rows(make_rows(2), tmp_path / "held")
    assert people_table(held).key != people_table(empty).key

    class Backwards(Dataset):
        def iter_tables(self, kind, columns=None):
            for table in super().iter_tables(kind, columns):
                yield table if kind == "frames" else table.take(np.arange(len(table))[::-1])

    with pytest.raises(DatasetError, match="in the order"):
        people_table(Backwards(held.folder))
