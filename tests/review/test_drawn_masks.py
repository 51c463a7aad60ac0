"""Masks and boxes that reviewers draw: what is taken, what follows, and what exports have."""

import dataclasses

import numpy as np
import pytest
from imported_photos import import_photos
from pycocotools import mask as coco_mask
from review_ops import Desk, refused, seen

from synthstudio.core.errors import Refused
from synthstudio.core.masks import counts_box, decode, encode
from synthstudio.core.skeleton import get_skeleton
from synthstudio.quality.rows import check_rows, chunks_of_samples
from synthstudio.review import history, masks
from synthstudio.review.masks import MAX_CODE, put_masks
from synthstudio.review.reviewed import export_reviewed, reviewed, reviewed_dataset, reviewed_people

# pycocotools 2.0.11 hands NumPy 2 an old-style array.
pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
SIZE = (48, 64)  # of the imported photos


def block(x, y, w, h, size=SIZE):
    mask = np.zeros(size, bool)
    mask[y : y + h, x : x + w] = True
    return mask


def bits(counts, size=SIZE):
    return decode({"size": list(size), "counts": counts})


@pytest.fixture
def drawing(empty_store, tmp_path):
    return Drawing(empty_store, import_photos(tmp_path / "photos", 60))  # box 8 8 40 30, no mask


class Drawing(Desk):
    """Person 1 of frame 0, drawn by Anna."""

    def __post_init__(self):
        super().__post_init__()
        self.who = self.person(0)
        self.on_disk = self.base(self.who)

    @property
    def now(self):
        return self.state(self.who)

    @property
    def row(self):
        return next(reviewed(self.store, self.dataset, only="all").iter_instances())

    def draw(self, kind="edit", **more):
        return self.log(self.who, kind, **{"joints": {}, **more})

    def masks(self, **masks):
        coded = {k: encode(m) if isinstance(m, np.ndarray) else m for k, m in masks.items()}
        return self.draw(masks=coded)


def test_a_drawn_mask_has_its_own_box_and_area(drawing):
    drawing.draw(box=(4, 6, 30, 20))
    drawing.masks(modal=block(10, 12, 20, 9))
    row = drawing.row
    np.testing.assert_array_equal(bits(row["modal_counts"]), block(10, 12, 20, 9))
    assert row["modal_box_px"] == [10, 12, 20, 9] and row["modal_area_px"] == 180
    assert row["amodal_counts"] is None and row["occluded_fraction"] is None
    with pytest.raises(Refused, match="follows from a mask"):
        drawing.draw(box=(4, 6, 30, 20))
    drawing.masks(amodal=block(10, 12, 20, 18))
    row = drawing.row
    assert row["amodal_box_px"] == [10, 12, 20, 18] and row["amodal_area_px"] == 360
    assert row["occluded_fraction"] == pytest.approx(0.5)
    edited_last = [e.id for e in history.events(drawing.store, drawing.key)][:0:-1]
    for event in edited_last:  # undone in order: the box that was drawn first is there again
        drawing.draw("revert", event=event)
    assert drawing.now.masks is None
    assert drawing.row["modal_box_px"] == [4, 6, 30, 20]
    drawing.check()


def test_amodal_grows_with_modal_and_never_loses_it(drawing):
    drawing.masks(amodal=block(10, 10, 10, 10))
    drawing.masks(modal=block(15, 10, 10, 10))
    np.testing.assert_array_equal(bits(drawing.now.masks["amodal"]), block(10, 10, 15, 10))
    drawing.masks(amodal=block(12, 10, 5, 10))  # what is seen stays in it
    np.testing.assert_array_equal(bits(drawing.now.masks["amodal"]), block(12, 10, 13, 10))
    np.testing.assert_array_equal(bits(drawing.now.masks["modal"]), block(15, 10, 10, 10))
    drawing.masks(modal=block(0, 0, 0, 0))  # nothing of the person is seen any more
    assert drawing.row["modal_area_px"] == 0 and drawing.row["occluded_fraction"] == 1
    with pytest.raises(Refused, match="empty mask"):
        drawing.masks(amodal=block(0, 0, 0, 0))


def test_a_mask_on_disk_grows_too(empty_store, small_set):
    drawing = Drawing(empty_store, small_set)
    size, disk = drawing.on_disk.size, drawing.on_disk.masks
    assert set(disk) == {"modal", "amodal"}
    corner = block(0, 0, 3, 3, size)
    drawing.masks(modal=bits(disk["modal"], size) | corner)
    wanted = bits(disk["amodal"], size) | corner
    np.testing.assert_array_equal(bits(drawing.now.masks["amodal"], size), wanted)
    skeleton = get_skeleton(small_set.identity.skeleton)
    (chunk,) = chunks_of_samples([(small_set.frame(0), [drawing.row])])
    assert check_rows(*chunk, skeleton) == [[]], "as validate looks"
    drawing.draw("revert", event=history.events(drawing.store, drawing.key)[-1].id)
    assert drawing.row["modal_counts"] == disk["modal"]


def test_what_lies_beyond_the_picture_stays_where_the_mask_touches_its_edge():
    counts = encode(block(0, 10, 20, 38))["counts"]
    row = {"mask_size": list(SIZE), "modal_counts": None, "amodal_counts": None}
    row["amodal_box_px"] = [-9, 5, 80, 60]
    put_masks(row, {"amodal": counts}, SIZE)
    assert row["amodal_box_px"] == [-9, 10, 29, 55], "left and below, not above and right"
    assert counts_box(counts, SIZE) == [0, 10, 20, 38]


def test_a_mask_on_disk_that_is_none_of_its_picture_is_no_mask(drawing):
    """Of another size, or damaged: a drawn box counts, and a drawn mask takes its place."""
    drawing.masks(amodal=block(10, 12, 20, 18))
    frame, names = drawing.dataset.frame(0), get_skeleton("coco17").joints
    (row,) = drawing.dataset.instances(0)
    code = encode(block(0, 0, 9, 9, (480, 640)))["counts"]
    for size, counts in (([480, 640], code), (list(SIZE), code)):
        bad = {**row, "mask_size": size, "modal_counts": counts}
        (drawn,) = reviewed_people(frame, [bad], {1: drawing.now}, names)
        assert drawn["mask_size"] == list(SIZE) and drawn["modal_counts"] is None
        assert drawn["amodal_area_px"] == 360
        boxed = dataclasses.replace(drawing.now, masks=None, box=(4, 6, 30, 20))
        (found,) = reviewed_people(frame, [bad], {1: boxed}, names)
        assert found["modal_box_px"] == [4, 6, 30, 20]


def test_the_box_of_a_whole_person_holds_the_visible_one(drawing):
    drawing.masks(amodal=block(30, 20, 30, 25))  # the visible box on disk: 8 8 40 30
    assert drawing.row["modal_box_px"] == [8, 8, 40, 30]
    assert drawing.row["amodal_box_px"] == [8, 8, 52, 37]
    drawing.draw(box=(2, 6, 30, 20))
    assert drawing.row["amodal_box_px"] == [2, 6, 58, 39]


def test_the_box_of_a_mask_stays_and_none_is_drawn_over_it(desk, small_set):
    before = small_set.instances(0)[0]
    assert before["modal_counts"]
    assert edited(desk, left_wrist=seen(1, 1))["modal_box_px"] == before["modal_box_px"]
    with pytest.raises(Refused, match="from a mask"):
        edited(desk, box=(4, 6, 30, 20))
    with pytest.raises(Refused, match="no box"):
        desk.do("status", 0, status="approved", box=(4, 6, 30, 20))


GOOD = encode(block(1, 1, 5, 5))
BAD = {
    "a larger picture": ({"modal": encode(block(1, 1, 5, 5, (480, 640)))}, "size differs"),
    "no size": ({"modal": {"counts": GOOD["counts"]}}, "size differs"),
    "runs beyond it": ({"modal": {**GOOD, "counts": GOOD["counts"] + "5"}}, "invalid mask"),
    "runs below 0": ({"modal": {"size": list(SIZE), "counts": [-5, 3077]}}, "invalid mask"),
    "letters": ({"modal": {**GOOD, "counts": "\u00e9\u0000"}}, "invalid mask"),
    "no code": ({"modal": {**GOOD, "counts": None}}, "invalid mask"),
    "a huge code": ({"modal": {**GOOD, "counts": "0" * (MAX_CODE + 1)}}, "too detailed"),
    "another name": ({"whole": GOOD}, "unknown mask names"),
    "none": ({}, "unknown mask names"),
    "a text": ("modal", "unknown mask names"),
    "nothing": ({"modal": None}, "invalid mask"),
    "empty": ({"modal": encode(block(0, 0, 0, 0))}, "empty mask"),
    "NaN": ({"modal": [[1, 1, 5, 1, float("nan"), 5]]}, "invalid mask"),
    "a corner outside": ({"amodal": [[1, 1, 5, 1, 65, 5]]}, "outside the picture"),
    "two corners": ({"modal": [[1, 1, 5, 1]]}, "invalid mask"),
    "odd": ({"modal": [[1, 1, 5, 1, 5, 5, 5]]}, "invalid mask"),
    "too many polygons": ({"modal": [[1, 1, 5, 1, 5, 5]] * 301}, "too many"),
    "booleans": ({"modal": [[True, 1, 5, 1, 5, 5]]}, "invalid mask"),
    "too many corners": ({"modal": [[1, 1, 5, 1, 5, 5] * 7000]}, "too long"),
    "a long outline": ({"modal": [[0, 0, 64, 48] * 4800]}, "too long"),
}  # fmt: skip


def test_what_is_no_mask_is_refused_and_changes_nothing(drawing):
    drawing.masks(modal=block(1, 1, 5, 5))
    before = drawing.now
    for name, (bad, why) in BAD.items():
        with refused("invalid", match=why) as caught:
            drawing.draw(masks=bad)
        assert len(str(caught.value)) < 300, name
    with pytest.raises(Refused, match="no masks"):
        drawing.draw("status", status="approved", masks={"modal": GOOD})
    second = dataclasses.replace(drawing.who, layer="second")
    with refused("invalid", match="second review has no masks"):
        drawing.log(second, "edit", joints={}, masks={"modal": GOOD})
    assert drawing.now == before


def test_an_export_names_whom_an_empty_mask_leaves_out(drawing, tmp_path):
    drawing.masks(amodal=block(3, 3, 30, 30))
    drawing.masks(modal=block(0, 0, 0, 0))
    drawing.draw("status", status="approved")
    made = export_reviewed(drawing.store, drawing.dataset, tmp_path / "coco", form="coco")
    assert made.left_out == 1 and "frame 0, person 1" in made.notes[-1], made.notes
    drawing.masks(modal=block(3, 3, 4, 4))
    made = export_reviewed(drawing.store, drawing.dataset, tmp_path / "more", form="coco")
    assert made.left_out == 0 and not any("Approved" in note for note in made.notes)


def test_exports_have_the_drawn_pixels(drawing, tmp_path):
    """By pycocotools, which reads the file with no code of ours."""
    from pycocotools.coco import COCO

    modal, amodal = block(3, 4, 11, 13) ^ block(5, 6, 2, 2), block(3, 4, 20, 30)
    drawing.masks(modal=modal, amodal=amodal)
    export_reviewed(drawing.store, drawing.dataset, tmp_path / "coco", form="coco", only="all")
    (file,) = (tmp_path / "coco" / "annotations").iterdir()
    coco = COCO(str(file))
    entry = coco.loadAnns(coco.getAnnIds(imgIds=[0]))[0]
    np.testing.assert_array_equal(coco.annToMask(entry), modal)
    np.testing.assert_array_equal(coco_mask.decode(entry["amodal_segmentation"]), amodal)
    assert entry["bbox"] == [3, 4, 11, 13] and entry["area"] == modal.sum()
    found = reviewed_dataset(drawing.store, drawing.dataset, tmp_path / "set", only="all")
    row = next(found.iter_instances())
    np.testing.assert_array_equal(bits(row["modal_counts"]), modal)
    np.testing.assert_array_equal(bits(row["amodal_counts"]), amodal)
    assert row["amodal_box_px"] == [3, 4, 20, 30]


def test_a_mask_has_one_code_and_polygons_are_filled_as_coco_does():
    outline = [[10, 10, 30, 12.5, 20, 40], [1, 1, 5, 1, 5, 5]]
    wanted = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(outline, *SIZE)))
    filled = masks.drawn_masks({"modal": outline}, SIZE)["modal"]
    np.testing.assert_array_equal(bits(filled), wanted)
    for runs in ([100, 20, 0, 10, 2942], [100, 0, 0, 30, 2942], [100, 30, 2942, 0]):
        coded = coco_mask.frPyObjects({"size": list(SIZE), "counts": runs}, *SIZE)["counts"]
        found = masks.drawn_masks({"modal": {"size": SIZE, "counts": coded.decode()}}, SIZE)
        assert found["modal"] == encode(bits(found["modal"]))["counts"]
        assert bits(found["modal"]).sum() == 30
    for whole in (block(0, 0, 64, 48), block(0, 0, 1, 1)):
        assert masks.drawn_masks({"modal": encode(whole)}, SIZE)["modal"] == encode(whole)["counts"]


def test_an_event_is_found_by_its_name_and_the_last_ones_are_read_alone(drawing, monkeypatch):
    made = [drawing.masks(modal=block(1, 1, 5 + k, 5)) for k in range(3)]
    found = history.events(drawing.store, drawing.key, limit=2, newest=True)
    assert found == made[1:]
    monkeypatch.setattr(history, "event_of", None)  # no event is read whole
    name = made[0].client, made[0].seq
    assert history.event_named(drawing.store, drawing.who, *name) == made[0].id
    other = dataclasses.replace(drawing.who, instance=2)
    assert history.event_named(drawing.store, other, *name) is None


# ---- boxes: drawn, or grown with joints; a mask's own box stays


def edited(desk, *, box=None, **joints):
    event = desk.do("edit", 0, joints=joints, box=box)
    assert desk.state(event.person).box == (None if box is None else list(box))
    desk.check()
    return next(reviewed(desk.store, desk.dataset, only="all").iter_instances())


def test_a_box_without_a_mask_holds_its_joints_unless_it_is_drawn(drawing):
    for change, box in (
        ({"left_wrist": seen(20, 30)}, [8, 8, 40, 30]),
        ({"left_wrist": seen(60, 44), "nose": seen(2, 20)}, [2, 8, 58, 36]),  # it grows
        ({"box": (4, 6.5, 30, 20), "left_wrist": seen(60, 44)}, [4, 6.5, 30, 20]),
    ):
        row = edited(drawing, **change)
        assert row["modal_box_px"] == pytest.approx(box)
        assert row["modal_area_px"] == box[2] * box[3]
    for expected in ([2, 8, 58, 36], [4, 6.5, 30, 20]):  # undone, and done again
        drawing.do("revert", 0, event=history.events(drawing.store, drawing.key)[-1].id)
        assert drawing.row["modal_box_px"] == expected
    drawing.check()
    for wide in (0.5, "9", float("nan"), True):
        with pytest.raises(Refused, match="box"):
            edited(drawing, box=(0, 0, wide, 9))
    for box in ((-1, 0, 9, 9), (60, 0, 9, 9), (0, 0, 9), "wide"):
        with pytest.raises(Refused, match="box"):
            edited(drawing, box=box)
