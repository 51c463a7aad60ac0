"""AP equals pycocotools run by hand on the same files; Ex-OKS against a slow reckoning."""

import dataclasses
import json
import math

import numpy as np
import pytest
from test_metrics import BONES, answers

from synthstudio.core.rng import stream
from synthstudio.evaluation.metrics import compute_metrics, extended_truth
from synthstudio.evaluation.precision import (
    NAMES,
    Presence,
    Truth,
    average_precision,
    extended_distance,
    matches,
)

SIGMAS = BONES.sigmas


def a_truth(people=40):
    rng = stream(7, "ap")
    centre = rng.uniform(100, 400, (people, 1, 2))
    xy = centre + rng.normal(0, 40, (people, 17, 2))
    low, high = xy.min(1), xy.max(1)
    truth = Truth(
        image=np.arange(people) // 3 + 1,
        xy=xy,
        known=rng.random((people, 17)) < 0.8,
        area=(high - low).prod(1) * 0.6,
        box=np.concatenate([low, high - low], 1),
    )
    answer = xy + rng.normal(0, 1, xy.shape) * rng.uniform(1, 15, (people, 1, 1))
    return truth, answer, rng.random(people)


def by_hand(truth, answer, score, known, folder):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    people, answers = [], []
    for p, image in enumerate(truth.image.tolist()):
        places = np.column_stack([truth.xy[p] - 0.5, np.full(17, 2)])
        points = np.where(known[p, :, None], places, 0).ravel().tolist()
        own = {"image_id": image, "category_id": 1}
        people.append(
            own | {"id": p + 1, "iscrowd": 0, "keypoints": points, "area": float(truth.area[p]),
                   "num_keypoints": int(known[p].sum()), "bbox": truth.box[p].tolist()}
        )  # fmt: skip
        found = np.column_stack([answer[p] - 0.5, np.ones(17)]).ravel().tolist()
        answers.append(own | {"keypoints": found, "score": float(score[p])})
    whole = {
        "info": {}, "annotations": people, "categories": [{"id": 1, "name": "person"}],
        "images": [{"id": i} for i in np.unique(truth.image).tolist()],
    }  # fmt: skip
    (folder / "truth.json").write_text(json.dumps(whole))
    (folder / "answers.json").write_text(json.dumps(answers))
    base = COCO(str(folder / "truth.json"))
    run = COCOeval(base, base.loadRes(str(folder / "answers.json")), "keypoints")
    run.evaluate(), run.accumulate(), run.summarize()
    return [float(v) for v in run.stats]


@pytest.mark.parametrize("part", ["all", "some joints"])
def test_ap_equals_pycocotools(part, tmp_path):
    truth, answer, score = a_truth()
    only = None if part == "all" else stream(8, "only").random((40, 17)) < 0.3
    mine = average_precision(truth, answer, score, sigmas=SIGMAS, only=only)
    known = truth.known if only is None else truth.known & only
    wanted = by_hand(truth, answer, score, known, tmp_path)
    for name, value in zip(NAMES, wanted, strict=True):
        assert mine[name] == pytest.approx(np.nan if value < 0 else value, abs=1e-6, nan_ok=True)
    assert 0.05 < mine["AP"] < 0.95  # it can tell
    nothing = average_precision(truth, answer, score, sigmas=SIGMAS, only=truth.known & False)
    assert all(np.isnan(v) for v in nothing.values())


@pytest.mark.parametrize("extended", [False, True])
def test_everybody_in_a_crowd_counts(extended):
    truth, _, score = a_truth(25)
    crowd = dataclasses.replace(truth, image=np.ones(25, int), known=np.ones((25, 17), bool))
    window = np.tile([-999.0, -999, 999, 999], (25, 1))
    presence = Presence(window=window, inside=crowd.known, claimed=crowd.known)
    how = {"sigmas": SIGMAS, "presence": presence if extended else None}
    found = average_precision(crowd, crowd.xy, score, **how)
    assert [found[name] for name in ("AP", "AP50", "AR", "AR75")] == pytest.approx([1] * 4)
    matched = matches(crowd, crowd.xy, score, **how)
    assert matched.hit.shape == (10, 25) and matched.hit.all()


def test_people_found_without_boxes_are_counted_by_their_pictures():
    truth, answer, score = a_truth()

    def of(xy, score, image):
        return average_precision(truth, xy, score, sigmas=SIGMAS, image=image)

    plain = average_precision(truth, answer, score, sigmas=SIGMAS)
    order = stream(8, "order").permutation(len(score))
    shuffled = of(answer[order], score[order], truth.image[order])
    assert shuffled == pytest.approx(plain, nan_ok=True)
    assert of(truth.xy, score, truth.image)["AP"] == pytest.approx(1)
    # Half of the people are found: half of the recall.
    half = np.arange(0, 40, 2)
    found = of(truth.xy[half], score[half], truth.image[half])
    assert found["AR"] == pytest.approx(0.5)
    assert found["AP"] == pytest.approx(0.5, abs=0.02)
    # Somebody who is nobody, surer than all, in a picture without people, costs precision.
    extra = of(
        np.concatenate([truth.xy, truth.xy[:20] + 500]),
        np.concatenate([score, np.full(20, 2.0)]),
        np.concatenate([truth.image, np.full(20, 99)]),
    )
    assert extra["AR"] == pytest.approx(1)
    assert extra["AP"] < 0.75
    nothing = of(answer[:0], score[:0], truth.image[:0])
    assert nothing["AP"] == nothing["AR"] == 0


# Ex-OKS: joints outside what the network saw.


def test_extended_distance_by_hand():
    window = np.array([[0.0, 0.0, 100.0, 50.0]])
    truth = np.array([[[10, 10], [120, 20], [30, 20], [-5, -5]]], float)
    answer = np.array([[[13, 14], [90, 25], [200, 20], [300, 10]]], float)
    inside = np.array([[True, True, False, False]])
    truth_inside = np.array([[True, False, True, False]])
    distance = extended_distance(answer, inside, truth, truth_inside, window=window)
    assert distance[0] == pytest.approx([5, 10, 20, 0])


def cut_windows(seed):
    """People with windows that cut many of their joints off; one without a known joint."""
    truth, answer, score = a_truth()
    rng = stream(seed, "beyond")
    low = truth.box[:, :2] + truth.box[:, 2:] * rng.uniform(0, 0.2, (40, 2))
    high = truth.box[:, :2] + truth.box[:, 2:] * rng.uniform(0.7, 1.1, (40, 2))
    inside = ((truth.xy >= low[:, None]) & (truth.xy < high[:, None])).all(-1)
    known = truth.known.copy()
    known[7] = False
    claimed = np.where(rng.random(inside.shape) < 0.85, inside, ~inside)
    presence = Presence(window=np.concatenate([low, high], 1), inside=inside, claimed=claimed)
    return dataclasses.replace(truth, known=known), answer, score, presence


def to_edge(x, y, window):
    x0, y0, x1, y1 = window
    return max(0.0, min(x - x0, x1 - x, y - y0, y1 - y))


def likeness(truth, answer, presence, a, p):
    """The Ex-OKS of answer `a` with person `p`, joint by joint."""
    found = []
    for j in np.flatnonzero(truth.known[p]):
        (x, y), (u, v), window = answer[a, j], truth.xy[p, j], presence.window[p]
        placed = window[0] <= x < window[2] and window[1] <= y < window[3]
        output, really = bool(presence.claimed[a, j]) and placed, bool(presence.inside[p, j])
        if output and really:
            d = math.hypot(x - u, y - v)
        elif output:
            d = to_edge(x, y, window)
        elif really:
            d = to_edge(u, v, window)
        else:
            d = 0.0
        k = 2 * SIGMAS[j]
        found.append(math.exp(-d * d / (2 * truth.area[p] * k * k)))
    return sum(found) / len(found)


def slow_ap(truth, answer, score, presence):
    """AP: greedy matching by falling score, 101 recalls, ten thresholds."""
    people = [p for p in range(40) if truth.known[p].any()]
    total = 0.0
    for step in range(10):
        level, taken, right = 0.5 + 0.05 * step, set(), []
        for a in sorted(people, key=lambda a: -score[a]):
            best, who = level, None
            for p in people:
                if truth.image[p] == truth.image[a] and p not in taken:
                    alike = likeness(truth, answer, presence, a, p)
                    if alike >= best:
                        best, who = alike, p
            taken.add(who)
            right.append(who is not None)
        hits = np.cumsum(right)
        precision, recall = hits / np.arange(1, len(hits) + 1), hits / len(people)
        for r in range(101):
            total += max(precision[recall >= r / 100 - 1e-12], default=0.0)
    return total / 1010


@pytest.mark.parametrize("seed", [1, 2])
def test_extended_ap_equals_the_slow_one(seed):
    truth, answer, score, presence = cut_windows(seed)
    assert (truth.known & ~presence.inside).sum() > 60
    found = average_precision(truth, answer, score, sigmas=SIGMAS, presence=presence)
    assert found["AP"] == pytest.approx(slow_ap(truth, answer, score, presence), abs=1e-6)
    plain = average_precision(truth, answer, score, sigmas=SIGMAS)["AP"]
    assert 0.1 < found["AP"] < 0.9 and abs(found["AP"] - plain) > 0.02
    # Where a joint outside truly is does not matter.
    blank = np.where(presence.inside[..., None], truth.xy, np.nan)
    unknown = average_precision(
        dataclasses.replace(truth, xy=blank), answer, score, sigmas=SIGMAS, presence=presence
    )
    assert unknown == pytest.approx(found, nan_ok=True)


def cut_off(claims):
    """Perfect answers about people whose left half is outside the picture; `claims`: the chance
    given for a joint there to be inside."""
    made = answers(hidden_error=0, seen_error=0)
    out = made.true_xy[..., 0] < 50
    return dataclasses.replace(
        made,
        state=np.where(out, 0, made.state).astype(np.uint8),
        known=made.known & ~out,
        window=np.tile([50.0, -9, 109, 109], (40, 1)),
        present=np.where(out, claims, 0.9),
        # Nobody sees them, so they are put at a place well inside.
        xy=np.where(out[..., None], [80.0, 50.0], made.true_xy),
    )


def test_saying_that_a_joint_is_outside_is_rewarded():
    made = [compute_metrics(cut_off(claims), BONES) for claims in (0.1, 0.9)]
    predicted, claimed = (one["extended_precision"] for one in made)
    outside = int((cut_off(0.1).state == 0).sum())
    assert predicted["joints_outside"] == claimed["joints_outside"] == outside > 100
    assert predicted["predicted"]["AP"] == 1 and claimed["predicted"]["AP"] < 0.3
    for same in (predicted["never_outside"], claimed["never_outside"]):
        assert same == pytest.approx(claimed["predicted"], nan_ok=True)
    assert predicted["AUROC"] == 1 and claimed["AUROC"] == 0.5
    made = cut_off(0.1)
    silent = dataclasses.replace(made, present=np.full_like(made.present, np.nan))
    assert extended_truth(silent, silent.known.any(0))[1].claimed.all()
    found = compute_metrics(silent, BONES)["extended_precision"]
    assert found["predicted"] == pytest.approx(found["never_outside"], nan_ok=True)
    assert np.isnan(found["AUROC"])
    some = dataclasses.replace(made, state=np.where(made.state == 0, 255, made.state))
    assert compute_metrics(some, BONES)["extended_precision"]["joints_outside"] == 0
