"""Regressed joints and rotation centres: how constant bones are, and which people click.

    python -m benchmarks.joints [--photos FOLDER] [--frames N]

The first table is how much bones change over 1,000 poses of two bodies. The second holds body
proportions of joints clicked in photos (a COCO keypoints file, or a folder with
person_keypoints.json) against those of drawn people whose joints of either kind are projected by
the drawn camera; medians, and 95 % intervals of a bootstrap over pictures. docs/conventions.md has
both.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthstudio.body.atlas import bare_body, load_atlas
from synthstudio.body.pose_library import library
from synthstudio.body.poses import LIMITS_RAD
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import JOINTS, get_skeleton
from synthstudio.core.spec import Phenotype
from synthstudio.generation.pipeline import draw_spec
from synthstudio.generation.stage import Stage, prepare
from synthstudio.recipe.schema.load import load

F64 = NDArray[np.float64]
KINDS = ("regressed", "kinematic")
BODIES = (
    Phenotype(gender=0.0, age=0.6, muscle=0.6, weight=0.5, height=0.4, proportions=0.5),
    Phenotype(gender=1.0, age=0.9, muscle=0.3, weight=0.8, height=0.3, proportions=0.3),
)
BONES = {
    "upper arm": ("left_shoulder", "left_elbow"),
    "forearm": ("left_elbow", "left_wrist"),
    "thigh": ("left_hip", "left_knee"),
    "shank": ("left_knee", "left_ankle"),
    "ankle to big toe": ("left_ankle", "left_big_toe"),
    "hips": ("left_hip", "right_hip"),
    "ears": ("left_ear", "right_ear"),
}
COCO = get_skeleton("coco17").joints
ROUNDS = 2000


def bone_ranges(poses: int) -> dict[str, dict[str, float]]:
    """Longest less shortest of each bone, in mm, the larger of the two bodies', by kind."""
    rng, atlas = stream(14, "bones"), load_atlas()
    out = {bone: dict.fromkeys(KINDS, 0.0) for bone in BONES}
    for shape in BODIES:
        angles = [pose.angles_rad for pose in library()][: poses // 2]
        while len(angles) < poses // 2:
            angles.append({k: float(rng.uniform(*span)) for k, span in LIMITS_RAD.items()})
        bodies = [bare_body(atlas, shape, each) for each in angles]
        for kind in KINDS:
            joints = np.array(
                [b.joints_m if kind == KINDS[0] else b.kinematic_joints_m for b in bodies]
            )
            for bone, (a, b) in BONES.items():
                length = np.linalg.norm(
                    joints[:, JOINTS.index(a)] - joints[:, JOINTS.index(b)], axis=1
                )
                out[bone][kind] = max(out[bone][kind], float(np.ptp(length)) * 1000)
    return out


class Person:
    """Joints (17, 2) in the picture, NaN where unknown; `picture` is what is drawn again."""

    def __init__(self, picture: int, px: F64) -> None:
        self.picture, self.px = picture, px

    def at(self, *names: str) -> F64:
        """The middle of some joints."""
        return np.asarray(np.mean([self.px[JOINTS.index(name)] for name in names], axis=0))

    def length(self, a: Sequence[str], b: Sequence[str]) -> float:
        return float(np.linalg.norm(self.at(*a) - self.at(*b))) or np.nan  # of 0 there is no ratio

    @property
    def is_frontal(self) -> bool:
        """The nose lies well between the ears."""
        left, right = self.at("left_ear")[0], self.at("right_ear")[0]
        share = (self.at("nose")[0] - left) / (right - left)
        return bool(0.25 < share < 0.75)

    @property
    def is_broad(self) -> bool:
        """The shoulders are at least half as wide as the trunk is long: seen from before or behind,
        also where nobody marked a face."""
        return self.length(_SHOULDERS[:1], _SHOULDERS[1:]) > 0.5 * self.length(_SHOULDERS, _HIPS)


_SHOULDERS, _HIPS = ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")


def _sided(a: tuple[str, str], b: tuple[str, str]) -> Callable[[Person], list[float]]:
    """The ratio of two segments of a limb, on either side."""

    def ratios(person: Person) -> list[float]:
        return [
            person.length([f"{s}_{a[0]}"], [f"{s}_{a[1]}"])
            / person.length([f"{s}_{b[0]}"], [f"{s}_{b[1]}"])
            for s in ("left", "right")
        ]

    return ratios


def _frontal(length: Callable[[Person], float]) -> Callable[[Person], list[float]]:
    """A length over that of the trunk, of people who face the camera."""
    return lambda p: [length(p) / p.length(_SHOULDERS, _HIPS)] if p.is_frontal else []


RATIOS: dict[str, Callable[[Person], list[float]]] = {
    "hip width / shoulder width": lambda p: [
        p.length(_HIPS[:1], _HIPS[1:]) / p.length(_SHOULDERS[:1], _SHOULDERS[1:])
    ],
    "the same, broad shoulders": lambda p: (
        RATIOS["hip width / shoulder width"](p) if p.is_broad else []
    ),
    "shoulder width / trunk, broad shoulders": lambda p: (
        [p.length(_SHOULDERS[:1], _SHOULDERS[1:]) / p.length(_SHOULDERS, _HIPS)]
        if p.is_broad
        else []
    ),
    "shoulder width / trunk, facing": _frontal(lambda p: p.length(_SHOULDERS[:1], _SHOULDERS[1:])),
    "hip width / trunk, facing": _frontal(lambda p: p.length(_HIPS[:1], _HIPS[1:])),
    "ears to shoulders / trunk, facing": _frontal(
        lambda p: p.length(("left_ear", "right_ear"), _SHOULDERS)
    ),
    "upper arm / forearm": _sided(("shoulder", "elbow"), ("elbow", "wrist")),
    "thigh / shank": _sided(("hip", "knee"), ("knee", "ankle")),
}


def clicked(photos: Path) -> list[Person]:
    """The people of a COCO file, or of one in a folder, that have keypoints."""
    file = photos / "person_keypoints.json" if photos.is_dir() else photos
    value = json.loads(file.read_text("utf-8"))
    names = value["categories"][0]["keypoints"]
    order = [names.index(joint) for joint in COCO if joint in names]
    marked = [k for k, joint in enumerate(COCO) if joint in names]
    out = []
    for entry in value["annotations"]:
        flat = np.array(entry["keypoints"], np.float64).reshape(-1, 3)[order]
        if (flat[:, 2] > 0).any():
            px = np.full((len(COCO), 2), np.nan)
            px[marked] = np.where(flat[:, 2:] > 0, flat[:, :2], np.nan)
            out.append(Person(entry["image_id"], px))
    return out


def drawn(scene: Path, frames: int) -> dict[str, list[Person]]:
    """The people of a recipe's first frames, by the kind of their joints; nothing is rendered."""
    recipe = load(scene)
    stage = Stage(prepare(recipe, assets=scene.parent))
    from synthstudio.body import anny

    body, count = anny.load(recipe.skeleton), len(COCO)
    out: dict[str, list[Person]] = {kind: [] for kind in KINDS}
    for index in range(frames):
        spec = draw_spec(stage, index)
        for person in spec.people:
            for kind, joints in zip(
                KINDS, (body.joints_m(person), body.kinematic_joints_m(person)), strict=True
            ):
                px = spec.camera.project(spec.camera.to_camera(joints[:count]))
                out[kind].append(Person(index, px))
    return out


def medians(people: Sequence[Person]) -> tuple[F64, F64, list[int]]:
    """Medians (R,) of RATIOS, those of ROUNDS bootstraps over pictures (ROUNDS, R), and counts."""
    of_picture: dict[int, list[Person]] = {}
    for person in people:
        of_picture.setdefault(person.picture, []).append(person)
    pictures = [of_picture[k] for k in sorted(of_picture)]
    found = [
        [[v for p in each for v in ratio(p) if np.isfinite(v)] for each in pictures]
        for ratio in RATIOS.values()
    ]
    rng = stream(14, "bootstrap")

    def of(chosen: Sequence[int]) -> list[float]:
        values = [[v for k in chosen for v in each[k]] for each in found]
        return [float(np.median(each or np.nan)) for each in values]

    everybody = of(range(len(pictures)))
    rounds = [of(rng.integers(0, len(pictures), len(pictures)).tolist()) for _ in range(ROUNDS)]
    return np.array(everybody), np.array(rounds), [sum(map(len, each)) for each in found]


def distance(found: F64, clicked: F64) -> F64:
    """The mean over RATIOS of how far a median is from that of clicked joints, in per cent."""
    return np.asarray(100 * np.nanmean(np.abs(np.log(found / clicked)), axis=-1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--poses", type=int, default=1000)
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/people"))
    parser.add_argument("--scene", type=Path, default=Path("scenes/people.yaml"))
    parser.add_argument("--frames", type=int, default=300)
    options = parser.parse_args()
    print(f"| bone, range over {options.poses} poses | regressed | kinematic |\n|---|---|---|")
    for bone, ranges in bone_ranges(options.poses).items():
        print(f"| {bone} | {ranges['regressed']:.1f} mm | {ranges['kinematic']:.3f} mm |")
    people = {"clicked": clicked(options.photos), **drawn(options.scene, options.frames)}
    found = {kind: medians(each) for kind, each in people.items()}
    print("\n| " + " | ".join(["median", *people]) + " |\n" + "|---" * 4 + "|")
    for k, ratio in enumerate(RATIOS):
        cells = []
        for middle, rounds, counts in found.values():
            low, high = np.nanpercentile(rounds[:, k], [2.5, 97.5])
            cells.append(f"{middle[k]:.2f} ({low:.2f} to {high:.2f}; {counts[k]})")
        print(f"| {ratio} | " + " | ".join(cells) + " |")
    middle, rounds, _ = found["clicked"]
    off = {
        kind: (distance(found[kind][0], middle), distance(found[kind][0], rounds)) for kind in KINDS
    }
    cells = [
        f"{one:.1f} % ({low:.1f} to {high:.1f})"
        for one, low, high in (
            (one, *np.percentile(each, [2.5, 97.5])) for one, each in off.values()
        )
    ]
    print(f"| mean distance from clicked | | {' | '.join(cells)} |")
    closer = off["regressed"][1] - off["kinematic"][1]
    low, high = np.percentile(closer, [2.5, 97.5])
    print(f"\nkinematic closer by {np.median(closer):.1f} points ({low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
