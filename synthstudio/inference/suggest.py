"""From a network's errors to a recipe that generates more of such people.

The error profile counts misses (PCK@0.1 of the box) of labelled joints by joint group, cause,
occluded fraction, view and pose family; small bins are shrunk towards the mean.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthstudio.body import pose_library
from synthstudio.core.arrays import I64, Bool
from synthstudio.core.errors import ModelError, RecipeError
from synthstudio.core.labels import CAUSES
from synthstudio.core.people import FRACTIONS, VIEWS, camera_azimuth_rad, fraction_of, view_of
from synthstudio.core.skeleton import SKELETONS, Skeleton
from synthstudio.evaluation import storage
from synthstudio.evaluation.metrics import pck_of
from synthstudio.evaluation.storage import Predictions
from synthstudio.quality.coverage import REGIONS
from synthstudio.quality.next_recipe import plain_yaml, shortened
from synthstudio.recipe.schema.load import dump, parse
from synthstudio.recipe.schema.recipe import Recipe

AXES = ("region", "cause", "fraction", "view", "family")
UNKNOWN = "unknown"
_BY = ("object", "person", "self")
_PRIOR_JOINTS = 40
"""Joints of the mean error rate added to every bin (shrinkage)."""
_CLEAR_RATIO = 1.15
"""An axis gets quotas when its worst bin's error rate is this many times the mean."""
_MIDDLES = {"0-.1": 0.05, ".1-.3": 0.2, ".3-.5": 0.4, ".5-.7": 0.6, ".7-.9": 0.75}
_MAX_WITH_JOINTS = 0.6
"""Above this occluded fraction wrists and ankles cannot be required visible."""
_MAX_OWN = 0.25
"""Joints that people hide themselves more often than this cannot be required visible."""
_MORE = 0.3
"""Target for the worst pair of joints, in addition to its natural rate."""
_EVEN = 0.5
"""The evenly distributed part of a quota: avoids forgetting."""
_WORST = 8
_NAME_LENGTH = 64


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Misses by axis and bin. `worst`: combinations of bins with most misses; `own`: how often a
    joint group is hidden by its own body or outside."""

    joints: int
    missed: int
    misses: Mapping[str, Mapping[str, int]]
    counts: Mapping[str, Mapping[str, int]]
    worst: tuple[tuple[tuple[str, ...], int, int], ...]
    own: Mapping[str, float]
    skeleton: Skeleton

    @property
    def rate(self) -> float:
        return self.missed / self.joints

    def rates(self, axis: str) -> dict[str, float]:
        """Each bin's error rate, shrunk towards the mean."""
        return {
            name: (self.misses[axis][name] + _PRIOR_JOINTS * self.rate) / (count + _PRIOR_JOINTS)
            for name, count in self.counts[axis].items()
        }

    def as_json(self) -> dict[str, Any]:
        return {
            "joints": self.joints,
            "missed": self.missed,
            "axes": {
                axis: {
                    name: {"missed": self.misses[axis][name], "joints": count}
                    for name, count in self.counts[axis].items()
                }
                for axis in AXES
            },
            "worst": [
                {"bins": dict(zip(AXES, bins, strict=True)), "missed": m, "joints": n}
                for bins, m, n in self.worst
            ],
        }

    def text(self) -> str:
        """Lines: the worst bins of each axis, then of all axes together."""
        lines = [f"{self.missed} of {self.joints} joints missed ({self.rate:.0%})"]
        for axis in AXES:
            rates = sorted(self.rates(axis).items(), key=lambda item: (-item[1], item[0]))
            worst = ", ".join(f"{name} {self._share(axis, name)}" for name, _ in rates[:4])
            lines.append(f"{axis}: {worst}")
        for bins, missed, joints in self.worst[:3]:
            lines.append(f"most: {', '.join(bins)}: {missed} of {joints}")
        return "\n".join(lines)

    def _share(self, axis: str, name: str) -> str:
        count = self.counts[axis][name]
        return f"{self.misses[axis][name] / count:.0%} of {count}" if count else "of none"


def read_evaluation(path: Path) -> tuple[Predictions, Skeleton]:
    """The predictions of an evaluation's folder, or of a run's only one; ModelError."""
    folder = storage.find(path)
    found = storage.read(folder)
    return found.predictions, storage.skeleton_of(found, str(folder))


def profile(answers: Predictions, skeleton: Skeleton) -> Profile:
    """Count what failed; ModelError when no joint is known or none was missed."""
    known = answers.known & np.isfinite(answers.true_xy).all(-1)
    miss = pck_of(answers) < 0.5
    if not (known & miss).any():
        raise ModelError(
            "no failures to target",
            where="evaluation",
            got=f"{int(known.sum())} known joints",
        )
    groups = regions(skeleton)
    names = tuple(groups)
    of_joint = np.zeros(len(skeleton.joints), np.int64)
    for k, group in enumerate(groups.values()):
        of_joint[group] = k
    families, family = np.unique(
        np.where(answers.family == "", UNKNOWN, answers.family), return_inverse=True
    )
    labels = {
        "region": names,
        "cause": CAUSES,
        "fraction": (*FRACTIONS, UNKNOWN),
        "view": (*VIEWS, UNKNOWN),
        "family": tuple(families.tolist()),
    }
    shape = known.shape
    places: dict[str, I64] = {
        "region": np.broadcast_to(of_joint, shape)[known],
        "cause": answers.cause[known].astype(np.int64),
        "fraction": np.broadcast_to(_fractions(answers)[:, None], shape)[known],
        "view": np.broadcast_to(_views(answers, skeleton)[:, None], shape)[known],
        "family": np.broadcast_to(family.reshape(-1)[:, None], shape)[known],
    }
    missed = miss[known]
    misses = {axis: _counted(labels[axis], at[missed]) for axis, at in places.items()}
    counts = {axis: _counted(labels[axis], at) for axis, at in places.items()}
    counts = {axis: {n: c for n, c in row.items() if c} for axis, row in counts.items()}
    anyway = np.isin(answers.cause, (CAUSES.index("self"), CAUSES.index("truncated")))
    return Profile(
        joints=int(known.sum()),
        missed=int(missed.sum()),
        misses=misses,
        counts=counts,
        worst=_worst(places, labels, missed),
        own={name: float(anyway[:, joints].all(1).mean()) for name, joints in groups.items()},
        skeleton=skeleton,
    )


def regions(skeleton: Skeleton) -> dict[str, list[int]]:
    """Groups of joints hidden by the same object, by their names joined with +."""
    found: list[list[int]] = []
    for ends in REGIONS.values():
        places = [j for j, name in enumerate(skeleton.joints) if name.endswith(ends)]
        sides = [
            [j for j in places if skeleton.joints[j].startswith(s)] for s in ("left_", "right_")
        ]
        found += [*sides, [j for j in places if not any(j in side for side in sides)]]
    left = sorted(set(range(len(skeleton.joints))) - {j for group in found for j in group})
    found += [[j] for j in left]
    return {"+".join(skeleton.joints[j] for j in group): group for group in found if group}


def _counted(names: tuple[str, ...], at: I64) -> dict[str, int]:
    counts = np.bincount(at, minlength=len(names))
    return {name: int(count) for name, count in zip(names, counts, strict=True)}


def _fractions(answers: Predictions) -> I64:
    known = np.isfinite(answers.fraction)
    places = fraction_of(np.nan_to_num(answers.fraction).clip(0, 1)).astype(np.int64)
    return np.where(known, places, len(FRACTIONS))


def _views(answers: Predictions, skeleton: Skeleton) -> I64:
    """The side facing the camera, by 3D joints, assuming a level camera."""
    names = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    out = np.full(len(answers), len(VIEWS), np.int64)
    if not all(name in skeleton.joints for name in names):
        return out
    xyz = answers.true_xyz_m[:, [skeleton.joints.index(name) for name in names]]
    level = xyz[..., [0, 2, 1]] * [1, 1, -1]  # camera axes to Z up, looking along y
    eyes = level.mean(1) + np.array([0, -1000, 0])
    with np.errstate(invalid="ignore"):
        angle = camera_azimuth_rad(level, eyes)
    known = np.isfinite(angle)
    out[known] = view_of(angle[known])
    return out


def _worst(
    places: Mapping[str, I64], labels: Mapping[str, tuple[str, ...]], missed: Bool
) -> tuple[tuple[tuple[str, ...], int, int], ...]:
    table = np.stack([places[axis] for axis in AXES], 1)
    cells, which = np.unique(table, axis=0, return_inverse=True)
    joints = np.bincount(which.reshape(-1), minlength=len(cells))
    wrong = np.bincount(which.reshape(-1), missed, minlength=len(cells)).astype(int)
    return tuple(
        (
            tuple(labels[axis][at] for axis, at in zip(AXES, cells[k], strict=True)),
            int(wrong[k]),
            int(joints[k]),
        )
        for k in sorted(range(len(cells)), key=lambda k: (-wrong[k], joints[k], k))[:_WORST]
        if wrong[k]
    )


def next_recipe(found: Profile, *, frames: int, like: Recipe | None = None) -> dict[str, Any]:
    """A recipe that generates more of what fails, as YAML without defaults. `like`: a recipe to
    start from, with another seed. Targets follow the main cause of missed joints; quotas go to
    views and families clearly worse than the mean. RecipeError for recipes of clips."""
    if like is not None and like.clip is not None:
        raise RecipeError(
            "a recipe of clips has no targets",
            where=like.name,
            then="Pass a recipe of single frames with --like.",
        )
    wanted = _base(found) if like is None else copy.deepcopy(dump(like))
    name = str(wanted["name"])[: _NAME_LENGTH - 6]
    wanted |= {
        "name": f"{name}-fails",
        "description": f"More of what a network missed: {found.rate:.0%} of {found.joints} joints.",
        "seed": 1 if like is None else like.seed + 1,
        "frames": frames,
        "cutouts": None,
        "quotas": None,
    }
    wanted["targets"] = _targets(found, wanted)
    if not any(obj["kind"] == "procedural" for obj in wanted.get("objects") or ()):
        wanted["objects"] = [*(wanted.get("objects") or ()), {"kind": "procedural"}]
    quotas = {
        "view": _views_requested(found, wanted, like),
        "family": _families_requested(found, like),
    }
    wanted["quotas"] = {axis: fractions for axis, fractions in quotas.items() if fractions} or None
    made = dump(parse({k: v for k, v in wanted.items() if v is not None}, "the suggested recipe"))
    short = shortened(made)
    last = {"quotas": short.pop("quotas")} if short.get("quotas") else {}
    first = {key: made[key] for key in ("name", "description", "frames", "seed")}
    return first | short | last


def _base(found: Profile) -> dict[str, Any]:
    return {
        "name": "suggested",
        "variants": {"clean": 1},
        "skeleton": found.skeleton.name if found.skeleton.name in SKELETONS else "coco17",
        "image": {"width_px": 320, "height_px": 240},
        "people": {"count": 2, "arrangement": {"kind": "group", "spread_m": [0.6, 1.4]}},
        "backdrop": {"kind": "room", "walls": 0.5},
    }


def _targets(found: Profile, wanted: dict[str, Any]) -> dict[str, Any]:
    rates = found.rates("cause")
    by = {cause: rates.get(cause, 0.0) for cause in _BY}
    if by["person"] > max(by["object"], by["self"]):
        wanted["people"]["count"] = [2, 4]
        return {"causes": {"person": [0.05, 0.15]}}
    if by["self"] > max(by["object"], by["person"]):
        return {"causes": {"self": [0.15, 0.3]}}
    joints = _joints_requested(found, SKELETONS[wanted["skeleton"]].joints)
    rates, maximum = found.rates("fraction"), _MAX_WITH_JOINTS if joints else 1.0
    rates = {n: rates.get(n, found.rate) for n, middle in _MIDDLES.items() if middle <= maximum}
    fractions = {str(_MIDDLES[name]): share for name, share in _percentages(rates).items()}
    return {"occluded_fraction": {"choice": fractions}} | ({"joints": joints} if joints else {})


def _joints_requested(found: Profile, drawable: tuple[str, ...]) -> dict[str, float]:
    """The pair of joints (left and right) that fails most, of those that others can occlude."""
    rates = found.rates("region")
    pairs = {}
    for left in rates:
        right = left.replace("left_", "right_")
        names = {*left.split("+"), *right.split("+")}
        if left == right or right not in rates or not names <= set(drawable):
            continue
        if max(found.own[left], found.own[right]) <= _MAX_OWN:
            pairs[f"{left}+{right}"] = (rates[left] + rates[right]) / 2
    if not pairs:
        return {}
    worst = max(sorted(pairs), key=lambda pair: pairs[pair])
    left = worst.split("+right_")[0]
    return {worst: round(min(found.own[left], _MAX_OWN) / 2 + _MORE, 2)}


def _views_requested(
    found: Profile, wanted: Mapping[str, Any], like: Recipe | None
) -> dict[str, int]:
    """Quotas of views; {} where recipe or actions fix the orientation."""
    if "causes" in wanted["targets"] and "self" in wanted["targets"]["causes"]:
        return {}  # people are turned for self-occlusion
    people = (like or Recipe(name="x")).people
    if people.facing_deg != Recipe(name="x").people.facing_deg or people.interactions.share > 0:
        return {}
    return _clear(found, "view", [v for v in VIEWS if v in found.counts["view"]])


def _families_requested(found: Profile, like: Recipe | None) -> dict[str, int]:
    """Quotas of families of unconditional poses; {} where others are set."""
    recipe = like or Recipe(name="x")
    poses, hold = recipe.people.poses, recipe.people.hold
    others = hold.share > 0 or hold.lean > 0 or recipe.people.interactions.share > 0
    if poses.names is not None or others or recipe.motion is not None:
        return {}
    held = set(recipe.holdout.poses)
    able = {
        pose.family
        for pose in pose_library.library()
        if not (pose.holds or pose.leans or pose.athletic)
        and not {pose.name, pose.family} & held
        and (poses.families is None or poses.families.get(pose.family, 0) > 0)
    }
    return _clear(found, "family", sorted(able & set(found.counts["family"])))


def _clear(found: Profile, axis: str, able: list[str]) -> dict[str, int]:
    rates = {name: rate for name, rate in found.rates(axis).items() if name in able}
    if len(rates) < 2 or max(rates.values()) < _CLEAR_RATIO * found.rate:
        return {}
    return _percentages(rates)


def _percentages(rates: Mapping[str, float]) -> dict[str, int]:
    """Percentages: half uniform, half by squared failure rate."""
    squared = {name: rate**2 for name, rate in rates.items()}
    total = sum(squared.values())
    return {
        name: max(1, round(100 * (_EVEN / len(rates) + (1 - _EVEN) * value / total)))
        for name, value in squared.items()
    }


def as_yaml(recipe: Mapping[str, Any], found: Profile) -> str:
    """The recipe as YAML, with the failure profile in its first lines."""
    lines = ["For what a network missed; written by `synthstudio suggest`. Read and edit it."]
    lines += found.text().splitlines()
    return "".join(f"# {_plain(line)}\n" for line in lines) + plain_yaml(recipe)


def _plain(text: str) -> str:
    """One printable line: family names are untrusted."""
    return "".join(c if c.isprintable() else "?" for c in text)[:200]
