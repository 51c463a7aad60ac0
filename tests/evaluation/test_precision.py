"""AP equals pycocotools run by hand on the same files; Ex-OKS distances by hand."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.evaluation.precision import (
    NAMES,
    Presence,
    Truth,
    average_precision,
    extended_distance,
    matches,
)

BONES = get_skeleton("coco17")


def a_truth(people: int = 40) -> tuple[Truth, np.ndarray, np.ndarray]:
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


def by_hand(
    truth: Truth, answer: np.ndarray, score: np.ndarray, known, folder: Path
) -> list[float]:
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
def test_ap_equals_pycocotools(part: str, tmp_path: Path) -> None:
    truth, answer, score = a_truth()
    only = None if part == "all" else stream(8, "only").random((40, 17)) < 0.3
    mine = average_precision(truth, answer, score, sigmas=BONES.sigmas, only=only)
    known = truth.known if only is None else truth.known & only
    wanted = by_hand(truth, answer, score, known, tmp_path)
    for name, value in zip(NAMES, wanted, strict=True):
        assert mine[name] == pytest.approx(np.nan if value < 0 else value, abs=1e-6, nan_ok=True)
    assert 0.05 < mine["AP"] < 0.95  # it can tell


@pytest.mark.parametrize("beyond", [False, True])
def test_everybody_in_a_crowd_counts(beyond: bool) -> None:
    truth, _, score = a_truth(25)
    crowd = dataclasses.replace(truth, image=np.ones(25, int), known=np.ones((25, 17), bool))
    extra = {
        "presence": Presence(
            window=np.tile([-999.0, -999, 999, 999], (25, 1)),
            inside=crowd.known,
            claimed=crowd.known,
        )
        if beyond
        else None
    }
    found = average_precision(crowd, crowd.xy, score, sigmas=BONES.sigmas, **extra)
    assert [found[name] for name in ("AP", "AP50", "AR", "AR75")] == pytest.approx([1] * 4)
    matched = matches(crowd, crowd.xy, score, sigmas=BONES.sigmas, **extra)
    assert matched is not None and matched.hit.shape == (10, 25) and matched.hit.all()


def test_nothing_known_is_no_number() -> None:
    truth, answer, score = a_truth()
    none = np.zeros((40, 17), bool)
    found = average_precision(truth, answer, score, sigmas=BONES.sigmas, only=none)
    assert all(np.isnan(v) for v in found.values())


def test_extended_distance_by_hand() -> None:
    window = np.array([[0.0, 0.0, 100.0, 50.0]])
    truth = np.array([[[10, 10], [120, 20], [30, 20], [-5, -5]]], float)
    answer = np.array([[[13, 14], [90, 25], [200, 20], [300, 10]]], float)
    inside = np.array([[True, True, False, False]])
    truth_inside = np.array([[True, False, True, False]])
    distance = extended_distance(answer, inside, truth, truth_inside, window=window)
    assert distance[0] == pytest.approx([5, 10, 20, 0])


def test_people_found_without_boxes_are_counted_by_their_pictures() -> None:
    truth, answer, score = a_truth()
    plain = average_precision(truth, answer, score, sigmas=BONES.sigmas)
    order = stream(8, "order").permutation(len(score))
    shuffled = average_precision(
        truth, answer[order], score[order], sigmas=BONES.sigmas, image=truth.image[order]
    )
    assert shuffled == pytest.approx(plain, nan_ok=True)
    perfect = {"sigmas": BONES.sigmas, "image": truth.image}
    assert average_precision(truth, truth.xy, score, **perfect)["AP"] == pytest.approx(1)
    # Half of the people are found: half of the recall.
    half = np.arange(0, 40, 2)
    found = average_precision(
        truth, truth.xy[half], score[half], sigmas=BONES.sigmas, image=truth.image[half]
    )
    assert found["AR"] == pytest.approx(0.5)
    assert found["AP"] == pytest.approx(0.5, abs=0.02)
    # Somebody who is nobody, surer than all, in a picture without people, costs precision.
    extra = average_precision(
        truth,
        np.concatenate([truth.xy, truth.xy[:20] + 500]),
        np.concatenate([score, np.full(20, 2.0)]),
        sigmas=BONES.sigmas,
        image=np.concatenate([truth.image, np.full(20, 99)]),
    )
    assert extra["AR"] == pytest.approx(1)
    assert extra["AP"] < 0.75
    nothing = average_precision(
        truth, answer[:0], score[:0], sigmas=BONES.sigmas, image=truth.image[:0]
    )
    assert nothing["AP"] == nothing["AR"] == 0
