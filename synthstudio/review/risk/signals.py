"""Checks of joints and of anatomy: a score and a reason for every person."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.arrays import F32, F64, I64, Bool
from synthstudio.core.labels import ORIGINS, VISIBILITY
from synthstudio.core.visibility import VISIBLE_THRESHOLD
from synthstudio.dataset.rows import NO_STATE
from synthstudio.quality.people import FACE_AND_TRUNK, at_one_point, facing, lengths, turn
from synthstudio.quality.rows import contradicted, wrong_causes
from synthstudio.review.risk.people import PeopleTable, bones_of

I16 = NDArray[np.int16]
NO_JOINT = -1
_AT_ONCE = 65_536
RENDERED = ORIGINS.index("rendered")
CHECKS = {
    "contradiction": (0.95, "{joint}: state or cause is not what was rendered"),
    "projection": (0.95, "{joint}: {value:.1f} px from its true place"),
    "sides": (0.9, "{joint}: left and right seem swapped"),
    "place": (0.9, "{joint}: {value:.0f} px outside the frame or the box"),
    "bones": (0.8, "{joint}: its bone is {value:.1f} times the usual length"),
    "validation": (0.95, ""),
    "audit": (0.9, ""),
    "model": (0.7, "{joint}: a model sees it elsewhere ({value:.1f} times the tolerance)"),
    "rejected": (0.7, ""),
    "threshold": (0.25, "{joint}{more}: about half hidden"),
    "hidden": (0.2, "{value:.0f} % of body or joints is out of sight"),
}
"""Probability of a wrong label at score 1, and the text of a score; "{more}": " and 2 more" if it
counts joints. See scores.py."""
_TOLERANCE_PX = 0.51  # stored positions are not rounded; as in `validate`
_EDGE = 1e-3  # positions are 32-bit floats
_MIN_SIZE_PX = 100.0  # joints of smaller people can share a pixel


@dataclass(frozen=True, kw_only=True)
class Signal:
    """Scores of one check for P people.

    `name`: of CHECKS; `score` (P,) from 0 (nothing) to 1 (certain). `joint` (P,): the joint
    concerned, -1 for none; `value` (P,): the number in the text. `texts`: row -> custom text.
    """

    name: str
    score: F32
    joint: I16
    value: F32
    texts: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def weight(self) -> float:
        return CHECKS[self.name][0]

    def words(self, table: PeopleTable, row: int) -> tuple[str, ...]:
        """The reason for a person's score; "" if the score is 0."""
        if not self.score[row] > 0:
            return ()
        if row in self.texts:
            return self.texts[row]
        joint = int(self.joint[row])
        name = readable(table.joints[joint]) if joint >= 0 else "a joint"
        value = float(self.value[row])
        more = f" and {value - 1:.0f} more" if value >= 2 else ""
        return (CHECKS[self.name][1].format(joint=name, value=value, more=more),)


def readable(joint: str) -> str:
    return joint.replace("_", " ")


def signal(
    name: str,
    score: F64,
    joint: NDArray[np.integer] | None = None,
    value: F64 | None = None,
    texts: Mapping[int, tuple[str, ...]] | None = None,
) -> Signal:
    """Make a signal of one of CHECKS; NaN scores are 0, others are clipped to 0..1."""
    clipped = np.clip(np.nan_to_num(score, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    people = len(clipped)
    return Signal(
        name=name,
        score=clipped.astype(np.float32),
        joint=np.full(people, NO_JOINT, np.int16) if joint is None else joint.astype(np.int16),
        value=np.zeros(people, np.float32) if value is None else value.astype(np.float32),
        texts=texts or {},
    )


def worst(scores: F64, values: F64) -> tuple[F64, I64, F64]:
    """The largest of scores (J, P) over joints, which joint it is, and its value."""
    if not len(scores):
        nothing = np.zeros(scores.shape[1])
        return nothing, np.full(scores.shape[1], NO_JOINT, np.int64), nothing
    known = np.nan_to_num(scores, nan=0.0)
    joint = known.argmax(axis=0)
    columns = np.arange(scores.shape[1])
    return known[joint, columns], joint, np.nan_to_num(values[joint, columns])


def ramp(values: F64, start: float, stop: float) -> F64:
    """0 up to `start`, 1 from `stop`, straight between; NaN is 0."""
    return np.clip((np.nan_to_num(values, nan=start) - start) / (stop - start), 0.0, 1.0)


def in_chunks(people: int) -> list[slice]:
    """Slices that cover all people: float64 of many planes is in memory for one at a time."""
    starts = range(0, people, _AT_ONCE)
    return [slice(start, min(start + _AT_ONCE, people)) for start in starts]


def contradiction(table: PeopleTable) -> Signal:
    """Drawn joints whose state or cause contradicts their visibility fractions and position."""
    size = np.stack([table.number("width"), table.number("height")], axis=1)[:, None]
    score, joint = np.zeros(table.people), np.full(table.people, NO_JOINT)
    for some in in_chunks(table.people):
        state, fractions = table.state[some].astype(np.int64), table.visibility_fractions[some]
        px, cause = table.joints_px[some].astype(np.float64), table.cause[some].astype(np.int64)
        _, wrong = contradicted(state, fractions, px, size[some], edge=_EDGE)
        wrong |= np.logical_or(*wrong_causes(state, cause, fractions))
        wrong &= table.arrays["origin"][:, some].T == RENDERED
        wrong &= ~np.isnan(fractions[..., 0]) & (state != NO_STATE)
        score[some] = wrong.any(axis=1)
        joint[some] = np.where(score[some] > 0, wrong.argmax(axis=1), NO_JOINT)
    return signal("contradiction", score, joint)


def projection(table: PeopleTable) -> Signal:
    """Drawn joints away from their 3D joints' projections."""
    sigmas = table.skeleton.sigmas[:, None]
    score, joint, value = np.zeros(table.people), np.full(table.people, -1), np.zeros(table.people)
    for some in in_chunks(table.people):
        error = table.arrays["off_px"][:, some].astype(np.float64)
        size = np.maximum(1.0, 0.2 * sigmas * np.sqrt(table.area_px[some]))
        found = 1.0 - np.exp(-np.maximum(error - _TOLERANCE_PX, 0.0) / size)
        score[some], joint[some], value[some] = worst(found, error)
    return signal("projection", score, joint, value)


def position(table: PeopleTable) -> Signal:
    """Visible joints outside the frame or far from the box; joints at one point."""
    box = table.modal_box_px[:, None]
    size = np.hypot(box[:, 0, 2], box[:, 0, 3])
    room = np.where(size > 0, 0.3 * size + 4, np.inf)[:, None]
    frame = np.stack([table.number("width"), table.number("height")], axis=1)[:, None]
    texts: dict[int, tuple[str, ...]] = {}
    score, joint, value = np.zeros(table.people), np.full(table.people, -1), np.zeros(table.people)
    for some in in_chunks(table.people):
        px, state = table.joints_px[some].astype(np.float64), table.state[some]
        known = np.isin(state, (1, 2)) & np.isfinite(px).all(axis=2)
        out = np.maximum(-px, px - frame[some]).max(axis=2)
        low, sides = box[some, :, :2], box[some, :, 2:]
        far = np.maximum(low - px, px - low - sides).max(axis=2)
        doubt = np.maximum(ramp(out, 0.5, 2.0), ramp(far / room[some], 1.0, 2.0))
        found = np.where(known & (state == 2), doubt, 0.0)
        score[some], joint[some], value[some] = worst(found.T, np.maximum(out, far).T)
        place = np.sort(np.where(known, px @ np.array([1, 1j]), np.nan), axis=1)
        twice = (np.diff(place, axis=1) == 0).any(axis=1) & (size[some] > _MIN_SIZE_PX)
        point, _ = at_one_point(px, known, size[some])
        for at, minimum, text in ((twice, 0.7, "two joints"), (point, 1.0, "all joints")):
            score[some] = np.where(at, np.maximum(score[some], minimum), score[some])
            rows = (some.start + np.flatnonzero(at)).tolist()
            texts |= dict.fromkeys(rows, (f"{text} lie at one point",))
    return signal("place", score, joint, value, texts)


def threshold(table: PeopleTable) -> Signal:
    """Joints near the visibility threshold: a visible share of .4 to .6, ambiguous."""
    doubt, joints = np.zeros(table.people), np.zeros(table.people)
    joint, maximum = np.full(table.people, -1), np.zeros(table.people)
    for j in range(len(table.joints)):
        share = table.arrays["visibility_fractions"][j * len(VISIBILITY)]
        near = np.nan_to_num(1.0 - np.abs(share - VISIBLE_THRESHOLD) / 0.1).clip(0.0, 1.0)
        own = np.maximum(near, 0.4 * table.arrays["ambiguous"][j])
        own = np.where(table.arrays["state"][j] == NO_STATE, 0.0, own)
        joint, maximum = np.where(own > maximum, j, joint), np.maximum(maximum, own)
        doubt += own
        joints += own > 0
    return signal("threshold", 1.0 - np.exp(-doubt / 2.0), joint, joints)


def hidden(table: PeopleTable) -> Signal:
    """People mostly hidden."""
    occluded = np.nan_to_num(table.occluded) * 100
    seen = np.count_nonzero(table.arrays["state"] == 2, axis=0)
    labelled = np.count_nonzero(table.arrays["state"] != NO_STATE, axis=0)
    unseen = np.where(labelled > 0, 1.0 - seen / np.maximum(labelled, 1), 0.0) * 100
    minimum = np.maximum(occluded, unseen)
    return signal("hidden", ramp(minimum, 50.0, 100.0), value=minimum)


# ---- anatomy

_SAMPLE = 20_000  # sample size for usual bone lengths
_MIN_BONES = 4
_MIN_PEOPLE = 30
_SHORT = 0.15  # log of the minimum assumed variation of bone lengths
# Arms and legs may be crossed: weights fall with distance from the trunk.
_PAIRS = (
    ("shoulder", "elbow", 0.8),
    ("elbow", "wrist", 0.35),
    ("hip", "knee", 0.8),
    ("knee", "ankle", 0.5),
)


def sides(table: PeopleTable) -> Signal:
    """Joints at the positions of their mirror twins."""
    people = table.people
    score, joint = np.zeros(people), np.full(people, -1)
    for some in in_chunks(people):
        by_space, at = _by_space(table, some)
        has_3d = np.isfinite(table.arrays["off_px"][:, some]).any(axis=0)
        by_body, below = _by_body(table, some)
        score[some] = np.where(has_3d, by_space, by_body)
        joint[some] = np.where(has_3d, at, below)
    return signal("sides", score, joint)


def _by_space(table: PeopleTable, some: slice) -> tuple[F64, I64]:
    """A joint at its twin's projection and not at its own."""
    error = table.arrays["off_px"][:, some].astype(np.float64)
    twin = table.arrays["mirror_px"][:, some].astype(np.float64)
    paired = table.skeleton.flip != np.arange(len(table.joints))
    with np.errstate(invalid="ignore"):
        closer = error / np.maximum(twin, 0.5)
        found = np.where(paired[:, None] & (error > 2.0), ramp(closer, 2.0, 4.0), 0.0)
    score, joint, _ = worst(found, error)
    return score, joint


def _by_body(table: PeopleTable, some: slice) -> tuple[F64, I64]:
    """Face, shoulders and hips seen from opposite sides; crossing limbs."""
    px = table.joints_px[some].astype(np.float64).transpose(1, 0, 2)  # (J, N, 2)
    state = table.arrays["state"][:, some]
    known = np.isin(state, (1, 2)) & np.isfinite(px).all(axis=2)
    names = {name: j for j, name in enumerate(table.skeleton.known_as)}
    found, at = _limbs(px, known, names)
    if not all(name in names for name in FACE_AND_TRUNK[3:]):
        return found, at
    trunk = [names[name] for name in FACE_AND_TRUNK[3:]]
    left_sh, right_sh, left_hip, right_hip = px[trunk]
    down = (left_hip + right_hip - left_sh - right_sh) / 2
    shoulders, hips = turn(left_sh - right_sh, down), turn(left_hip - right_hip, down)
    wide_sh = lengths(left_sh - right_sh) / np.maximum(lengths(down), 1e-9)
    wide_hip = lengths(left_hip - right_hip) / np.maximum(lengths(down), 1e-9)
    against = np.minimum(np.abs(shoulders), np.abs(hips)) * (shoulders * hips < 0)
    twisted = ramp(against, 0.3, 0.7) * ramp(np.minimum(wide_sh / 0.5, wide_hip / 0.25), 0.6, 1.2)
    twisted = np.where(known[trunk].all(axis=0), twisted, 0.0)
    at = np.where(twisted > found, names["left_shoulder"], at)
    found = np.maximum(found, twisted)
    if all(name in names for name in FACE_AND_TRUNK):
        places = [names[name] for name in FACE_AND_TRUNK]
        whole = _face_and_trunk(px[places], known[places], state[places[:3]] == 2)
        at = np.where(whole > found, names["left_shoulder"], at)
        found = np.maximum(found, whole)
    return found, at


def _face_and_trunk(px: F64, known: Bool, in_sight: Bool) -> F64:
    """Nose and eyes visible, yet face and trunk both as from behind."""
    face, trunk, wide = facing(px, np.asarray(known[5:].all(axis=0)))
    swapped = np.where(
        wide, ramp(-face, 0.15, 0.5) * ramp(-trunk, 0.15, 0.5), ramp(-face, 0.5, 0.85)
    )
    # Both as from behind is a person whose face is not visible; a face from the
    # front over a back is a person looking round, or swapped shoulders: half the confidence.
    round_ = 0.5 * ramp(face, 0.6, 0.9) * ramp(-trunk, 0.6, 0.9) * wide
    usable = in_sight.all(axis=0) & known[[0, 3, 4]].all(axis=0)
    return np.where(usable, np.maximum(swapped, round_), 0.0)


def _limbs(px: F64, known: Bool, names: dict[str, int]) -> tuple[F64, I64]:
    """Crossing pairs of limbs: the order of their ends is reversed."""
    best, at = np.zeros(px.shape[1]), np.full(px.shape[1], -1)
    for upper, lower, maximum in _PAIRS:
        ends = [f"left_{upper}", f"right_{upper}", f"left_{lower}", f"right_{lower}"]
        if not all(name in names for name in ends):
            continue
        places = [names[name] for name in ends]
        a, b, c, d = px[places]
        above, below = a - b, c - d
        limb = (lengths(a - c) + lengths(b - d)) / 2
        wide = np.minimum(lengths(above), lengths(below))
        against = -(above * below).sum(axis=1) / np.maximum(lengths(above) * lengths(below), 1e-9)
        found = maximum * ramp(against, 0.3, 0.8) * ramp(wide / np.maximum(limb, 1e-9), 0.15, 0.4)
        found = np.where(known[places].all(axis=0), found, 0.0)
        at = np.where(found > best, names[f"left_{lower}"], at)
        best = np.maximum(best, found)
    return best, at


def bones(table: PeopleTable) -> Signal:
    """Bones that are too long (in 3D also too short) for the rest of their body.

    Usual lengths are estimated from the set. A body's size is the median over its bones of
    the ratio to the usual length, so one wrong joint does not affect it. In a picture a
    bone may be foreshortened, never lengthened.
    """
    pairs = np.array(bones_of(table.skeleton.known_as), np.int64).reshape(-1, 2)
    in_space = table.arrays["bone_m"]
    usual_3d, spread_3d = _usual(table, pairs, space=True)
    usual_2d, spread_2d = _usual(table, pairs, space=False)
    score, joint, value = np.zeros(table.people), np.full(table.people, -1), np.zeros(table.people)
    for some in in_chunks(table.people):
        has_3d = np.isfinite(in_space[:, some]).any(axis=0)
        found = np.zeros((len(pairs), some.stop - some.start))
        logs = {True: _logs_3d(table, some), False: _logs_2d(table, pairs, some)}
        ratio = np.zeros_like(found)
        for space, usual, spread in ((True, usual_3d, spread_3d), (False, usual_2d, spread_2d)):
            over = _beside_body(logs[space], usual)
            times = (np.abs(over) if space else over) / spread[:, None]
            own = has_3d if space else ~has_3d
            found = np.where(own & np.isfinite(times), ramp(times, 1.6, 3.2), found)
            ratio = np.where(own, np.exp(over), ratio)
        score[some], bone, value[some] = worst(found, ratio)
        joint[some] = np.where(bone >= 0, pairs[bone, 1] if len(pairs) else -1, -1)
    return signal("bones", score, joint, value)


def _logs_3d(table: PeopleTable, some: slice | I64) -> F64:
    length = table.arrays["bone_m"][:, some].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(length > 1e-6, np.log(length), np.nan)


def _logs_2d(table: PeopleTable, pairs: I64, some: slice | I64) -> F64:
    px = table.arrays["px"][:, some].astype(np.float64)
    x, y = px[0::2], px[1::2]
    known = np.isin(table.arrays["state"][:, some], (1, 2)) & np.isfinite(x) & np.isfinite(y)
    a, b = pairs[:, 0], pairs[:, 1]
    length = np.hypot(x[a] - x[b], y[a] - y[b])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(known[a] & known[b] & (length > 0.5), np.log(length), np.nan)


def _beside_body(logs: F64, usual: F64) -> F64:
    """(B, N) logs of lengths over those expected from the rest of each body; NaN: unknown."""
    beside = logs - usual[:, None]
    enough = np.isfinite(beside).sum(axis=0) >= _MIN_BONES
    size = _median(np.where(enough, beside, 0.0), axis=0)
    return np.where(enough, beside - size, np.nan)


def _usual(table: PeopleTable, pairs: I64, *, space: bool) -> tuple[F64, F64]:
    """(B,) the usual log of each bone's length, and its usual excess (inf: unknown)."""
    rows = np.arange(0, table.people, max(1, table.people // _SAMPLE))
    logs = _logs_3d(table, rows) if space else _logs_2d(table, pairs, rows)
    enough = np.isfinite(logs).sum(axis=1) >= _MIN_PEOPLE
    logs = np.where(enough[:, None], logs, np.nan)
    usual = np.nan_to_num(_median(logs, axis=1))
    for _ in range(3):
        over = _beside_body(logs, usual)
        usual = usual + np.nan_to_num(_median(over, axis=1))
    over = np.abs(over) if space else over
    spread = np.full(len(pairs), np.inf)
    for bone in np.flatnonzero(enough):
        known = over[bone][np.isfinite(over[bone])]
        if len(known) >= _MIN_PEOPLE:
            # Two in a hundred may be wrong and must not widen the usual range.
            spread[bone] = max(_SHORT, 1.25 * float(np.quantile(known, 0.95)))
    return usual, spread


def _median(values: F64, axis: int) -> F64:
    """Medians without NaN (np.nanmedian is slower and warns); NaN if all are NaN."""
    if not values.shape[axis]:  # a set of photos without people yet
        return np.full(np.delete(values.shape, axis), np.nan)
    ordered = np.sort(values, axis=axis)  # NaN last
    counts = np.isfinite(values).sum(axis=axis, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum((counts - 1) // 2, 0), axis)
    high = np.take_along_axis(ordered, np.minimum(counts // 2, values.shape[axis] - 1), axis)
    middle = np.where(counts > 0, (low + high) / 2, np.nan)
    return middle.squeeze(axis)
