"""Each kind of planted error comes to the front of the queue; what is sound does not."""

import math

import numpy as np
import pytest
from people_rows import JOINTS, WIDTH, by_signal, make_rows, write_rows

from synthstudio.core.errors import DatasetError, Refused, ReviewError
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.durable import read_json
from synthstudio.review.history import register
from synthstudio.review.risk.findings import (
    PersonFinding,
    parse_audit,
    store_findings,
    stored_signals,
)
from synthstudio.review.risk.predictions import (
    Prediction,
    disagreement,
    gather_predictions,
    iter_predictions,
    model_signal,
    prediction_layers,
    put_predictions,
)
from synthstudio.review.risk.scores import risk, table_signals
from synthstudio.review.risk.table import people_table

FRAMES, EACH, BAD = 150, 4, 6  # of each kind of error 1 person in 100
FLIP = get_skeleton("coco17").flip


def _set(row, j, x, y):
    row["joints_px"][2 * j : 2 * j + 2] = [x, y]


def _move(row, name, dx, dy):
    j = JOINTS.index(name)
    x, y = row["joints_px"][2 * j : 2 * j + 2]
    _set(row, j, x + dx, y + dy)


def moved(row):
    """A wrist is a quarter of the body's height off."""
    size = row["modal_box_px"][3]
    _move(row, "left_wrist", 0.2 * size, -0.15 * size)


def torn(row):
    """A wrist of a photo is much further from its elbow than an arm is long."""
    size, x = row["modal_box_px"][3], row["joints_px"][2 * JOINTS.index("left_wrist")]
    _move(row, "left_wrist", 0.6 * size if x < WIDTH / 2 else -0.6 * size, -0.3 * size)


def slightly_moved(row):
    _move(row, "right_knee", 4, 0)


def all_sides(row):
    for name in ("joints_px", "state", "cause", "visibility_fractions", "ambiguous"):
        each = len(row[name]) // 17
        had = [row[name][each * j : each * (j + 1)] for j in range(17)]
        row[name] = [value for j in FLIP for value in had[j]]


def legs(row):
    for left, right in (("left_knee", "right_knee"), ("left_ankle", "right_ankle")):
        a, b = JOINTS.index(left), JOINTS.index(right)
        px = row["joints_px"]
        first, second = px[2 * a : 2 * a + 2], px[2 * b : 2 * b + 2]
        _set(row, a, *second)
        _set(row, b, *first)


def state(row):
    j = next(j for j, value in enumerate(row["state"]) if value == 2)
    row["state"][j], row["cause"][j] = 1, "self"


def cause(row):
    j = JOINTS.index("left_elbow")
    row["state"][j], row["cause"][j] = 1, "person"
    row["visibility_fractions"][5 * j : 5 * j + 5] = [0.1, 0.1, 0.1, 0.7, 0.0]


def outside(row):
    _set(row, JOINTS.index("right_wrist"), WIDTH + 9, 100)


def one_point(row):
    row["joints_px"] = [200.0, 150.0] * 17


def twice(row):
    _set(row, JOINTS.index("left_wrist"), *row["joints_px"][14:16])


ARMS = ("left_wrist", "left_elbow", "left_shoulder")
FACE = ("nose", "left_eye", "right_eye", "left_shoulder", "right_shoulder", "left_hip", "right_hip")
NEEDS = {  # what is not to be seen cannot be shown wrong
    moved: ARMS,
    twice: ARMS,
    torn: (*ARMS, "left_hip", "left_knee", "right_elbow", "right_shoulder"),
    slightly_moved: ("right_knee",),
    outside: ("right_wrist",),
    all_sides: FACE,
    legs: ("left_knee", "right_knee", "left_ankle", "right_ankle"),
}
DRAWN = [
    (moved, "projection", "px from its true place"),
    (slightly_moved, "projection", "right knee: 4.0 px"),
    (all_sides, "sides", "left and right seem swapped"),
    (legs, "sides", "left and right seem swapped"),
    (state, "contradiction", "not what was rendered"),
    (cause, "contradiction", "left elbow: "),
    (outside, "place", "outside the frame"),
    (one_point, "place", "all joints lie at one point"),
]
PHOTOS = [(torn, "bones", ""), (all_sides, "sides", ""), (legs, "sides", "")]
PHOTOS += [(outside, "place", ""), (one_point, "place", ""), (twice, "place", "two joints lie at")]


def _can_be(spoil, row):
    in_sight = all(row["state"][JOINTS.index(name)] == 2 for name in NEEDS.get(spoil, ()))
    return in_sight and (spoil not in (all_sides, legs) or _wide(row))


def _wide(row):
    """Say whether somebody is seen from the front: a side view looks the same from both sides."""
    px = np.reshape(row["joints_px"], (-1, 2))
    left, right, nose, ears = px[5], px[6], px[0], (px[3] + px[4]) / 2
    trunk = np.linalg.norm((px[11] + px[12] - left - right) / 2)
    return bool(left[0] - right[0] > 0.5 * trunk and abs(nose[0] - ears[0]) < 0.1 * trunk)


def _front(made, chosen):
    places = np.flatnonzero(np.isin(np.argsort(-made.score, kind="stable"), chosen))
    return float((places.max() + 1) / len(made.score))


@pytest.mark.parametrize(("planted", "photos"), [(DRAWN, False), (PHOTOS, True)])
def test_planted_errors_come_first_and_what_is_sound_is_not_accused(planted, photos, tmp_path):
    """Of photos, without 3D and shares, what a body allows is all there is."""
    rows, spoilt = make_rows(FRAMES, each=EACH, photos=photos), {}
    for spoil, *_ in planted:
        fine = [k for k, row in enumerate(rows.people) if k not in spoilt and _can_be(spoil, row)]
        for row in stream(9, "spoilt").choice(fine, BAD, replace=False).tolist():
            spoil(rows.people[row])
            spoilt[row] = spoil
    table = people_table(write_rows(rows, tmp_path / "set"))
    made, chosen = risk(table, table_signals(table)), list(spoilt)
    assert np.isnan(table.arrays["off_px"]).all() == photos
    assert _front(made, chosen) <= (3 if photos else 1) * len(chosen) / table.people
    for spoil, name, word in planted:
        for row in (row for row, by in spoilt.items() if by is spoil):
            assert by_signal(made, row)[name] > (0.3 if photos else 0.5), spoil.__name__
            assert any(word in text for text in made.reasons(row, maximum=9)), made.reasons(row)
    others = np.delete(made.score, chosen)
    assert (others > 0.5).mean() <= 0.005
    if not photos:
        assert others.max() < 0.5 < made.score[chosen].min()
    sure = {s.name: float(np.delete(s.score, chosen).max()) for s in table_signals(table)}
    assert sure["contradiction"] == sure["projection"] == sure["place"] == 0
    quiet = [row for row in range(table.people) if made.score[row] == 0]
    assert quiet and all(made.reasons(row) == [] for row in quiet)


def test_doubts_come_in_their_order(tmp_path):
    """Half hidden joints are a reason, but a small one; two sure signs weigh more than one."""
    rows = make_rows(30)
    rows.people[3]["visibility_fractions"][:5] = [0.5, 0.0, 0.0, 0.5, 0.0]
    rows.people[3]["state"][0], rows.people[3]["cause"][0] = 2, "visible"
    slightly_moved(rows.people[7])
    slightly_moved(rows.people[11])
    state(rows.people[11])
    table = people_table(write_rows(rows, tmp_path / "set"))
    made = risk(table, table_signals(table))
    assert made.score[11] > made.score[7] > 0.5 > made.score[3] > 0
    assert "half hidden" in made.reasons(3)[0]
    assert "nose" in made.reasons(3)[0]
    for row in (3, 7, 11):
        product = math.prod(1 - part for part in by_signal(made, row).values())
        assert made.score[row] == pytest.approx(1 - product)


def test_a_reviewers_edit_on_disk_is_no_contradiction(tmp_path):
    """Where a person decided, 3D and shares are stale and accuse nobody."""
    for origin, accused in (("rendered", True), ("human", False)):
        rows = make_rows(30)
        slightly_moved(rows.people[4])
        state(rows.people[5])
        for row in (4, 5):
            rows.people[row]["origin"] = [origin] * 17
        table = people_table(write_rows(rows, tmp_path / origin))
        made = risk(table, table_signals(table))
        assert (made.score[[4, 5]] > 0.5).tolist() == [accused, accused], made.reasons(4)


def _of_model(table, off):
    rng = stream(4, "a model")
    found = []
    for row, (frame, instance) in enumerate(table.ids(np.arange(table.people))):
        px = table.joints_px[row] + rng.normal(0, 1, (17, 2))
        px[9, 0] += off.get(row, 0.0)
        placed = ((name, at) for name, at in zip(JOINTS, px.tolist(), strict=True))
        joints = {name: (*at, 0.9) for name, at in placed if math.isfinite(at[0])}
        found.append(Prediction(frame=frame, instance=instance, joints=joints, score=0.8))
    return found


def test_models_that_see_a_joint_elsewhere(empty_store, tmp_path):
    dataset, store = write_rows(make_rows(60, photos=True), tmp_path / "set"), empty_store
    table, key = people_table(dataset), register(store, dataset, "a set")
    chosen = [r for r in range(table.people) if table.state[r, 9] == 2][5:65:15]
    reported = _of_model(table, dict.fromkeys(chosen, 60.0))
    assert put_predictions(store, key, "net-1", iter(reported)) == table.people
    assert prediction_layers(store, key) == {"net-1": table.people}
    found = gather_predictions(table, iter_predictions(store, key, "net-1"))
    assert found.rows.tolist() == list(range(table.people))
    doubt = model_signal(table, found)
    made = risk(table, [*table_signals(table), doubt])
    assert _front(made, chosen) <= 0.05
    assert all("left wrist: a model sees it elsewhere" in doubt.words(table, r)[0] for r in chosen)
    apart = disagreement(table, found)
    others = np.delete(apart, chosen)
    assert 0 <= others.max() < apart[chosen].min() <= 1
    # By hand: e = distance / (2 sigma sqrt(area)), 1 - mean over labelled joints of exp(-e^2/2).
    row = chosen[0]
    labelled = np.isin(table.state[row], (1, 2))
    off = np.linalg.norm(table.joints_px[row] - found.px[row], axis=1)[labelled]
    scale = 2 * table.skeleton.sigmas[labelled] * math.sqrt(table.area_px[row])
    assert apart[row] == pytest.approx(1 - np.exp(-0.5 * (off / scale) ** 2).mean(), rel=1e-4)


def test_predictions_are_kept_and_checked(empty_store, tmp_path):
    dataset, store = write_rows(make_rows(3), tmp_path / "set"), empty_store
    key = register(store, dataset, "a set")
    first = Prediction(frame=1, instance=2, joints={"nose": (1.5, 2.0, 0.5)}, score=0.25)
    put_predictions(store, key, "a", [first])
    put_predictions(store, key, "b", [first])
    better = Prediction(frame=1, instance=2, joints={"nose": (9.0, 9.0, 1.0)})
    put_predictions(store, key, "a", [better])
    assert [list(iter_predictions(store, key, layer)) for layer in "ab"] == [[better], [first]]
    other = Prediction(frame=0, instance=1)
    assert put_predictions(store, key, "a", [other], replace=True) == 1
    assert list(iter_predictions(store, key, "a")) == [other]
    joints = ((math.nan, 0.0, 1.0), (1e9, 2.0, 1.0), (1.0, 2.0, 1.5))
    bad: list[dict[str, object]] = [{"joints": {"nose": value}} for value in joints]
    bad += [{"joints": {"tail": (1.0, 2.0, 1.0)}}, {"score": math.inf}, {"instance": 0}]
    bad += [{"frame": True}]
    for changes in bad:
        values = {"frame": 0, "instance": 1} | changes
        with pytest.raises(Refused):
            put_predictions(store, key, "a", [better, Prediction(**values)], replace=True)
    assert list(iter_predictions(store, key, "a")) == [other]  # all or none
    with pytest.raises(ReviewError, match="is not in the store"):
        put_predictions(store, "0" * 64, "a", [better])


NO_AUDITS = ["[]", "{}", '{"findings": {}}', '{"findings": [{"frame": 1}]}', '{"findings": ["a"]}']
NO_AUDITS += ["\x00", '{"findings": [{"frame": 1, "instance": 1, "joint": "nose", "stored": [NaN], '
              '"again": [1], "stored_cause": "self", "again_cause": "self"}]}']  # fmt: skip


def test_an_audit_says_which_joints_differ_and_how_surely(tmp_path):
    """Near the threshold both oracles may be right."""
    common = {"frame": 2, "instance": 2, "joint": "left_wrist", "again_cause": "self"}
    large = {**common, "stored": [0.9], "again": [0.2], "stored_cause": "visible"}
    small = {**common, "stored": [0.55], "again": [0.5], "stored_cause": "self"}
    first, second = parse_audit([large, small], "audit")
    assert (first.score, second.score) == (1.0, 0.6)
    assert first.text.startswith("left wrist: ") and "hidden by own body" in first.text
    for text in NO_AUDITS:
        (tmp_path / "audit.json").write_text(text)
        with pytest.raises((ReviewError, DatasetError), match=r"audit|damaged"):
            parse_audit(read_json(tmp_path / "audit.json").get("findings"), "audit")


def test_findings_are_kept_by_kind(empty_store, tmp_path):
    dataset, store = write_rows(make_rows(3), tmp_path / "set"), empty_store
    table = people_table(dataset)
    register(store, dataset, "a set")
    found = [PersonFinding(frame=0, instance=2, score=s, text=f"{s}" * 99) for s in (0.3, 0.9)]
    for kind in ("validation", "audit"):
        store_findings(store, dataset, kind, found)
    store_findings(store, dataset, "validation", [])  # mended: only the audit's are left
    validation, audit = stored_signals(store, table)
    assert not validation.score.any() and np.flatnonzero(audit.score).tolist() == [1]
    assert audit.score[1] == pytest.approx(0.9)
    assert [len(text) for text in audit.words(table, 1)] == [200, 200]
    assert audit.words(table, 1)[0].startswith("0.9")
