"""The poses of a bank: those of the training people, and their samples for training steps."""

from typing import Any

import numpy as np
import torch

from synthstudio.core.arrays import F32, F64, I64, Bool
from synthstudio.core.errors import ModelError
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.rows import NO_STATE
from synthstudio.models.contract import PoseNet
from synthstudio.models.pose_bank import OUTSIDE, SHARPNESS, BankSample, PoseBank, bank_of
from synthstudio.training.config import Config
from synthstudio.training.data.augment import draw_rotations, rotated_canvas
from synthstudio.training.data.batches import Batch, CropSubset
from synthstudio.training.data.crops import MARGIN
from synthstudio.training.data.windows import limb_window, of_limbs

MIN_KNOWN = 0.5
"""Minimum fraction of labelled joints for a pose: else most of it would be guessed."""
SMALL_BANK = 100
ANSWER_POSES = 20_000
PITCH_DEG = 50.0
ROTATED = 0.15
"""Defaults of `bank_of_others`: measured in docs/research ("Other poses to answer with")."""
VIEWS = 4
"""Maximum camera heights per person's pose: more did not help."""
_MIN_PAIRS = 10


def pose_bank(
    people: CropSubset,
    skeleton: Skeleton,
    *,
    size: tuple[int, int],
    count: int,
    seed: int,
    rotated: float = 0.0,
    pitch_deg: float = 0.0,
    sharpness: float = SHARPNESS,
) -> PoseBank | None:
    """Sample a bank of `count` poses from `people` (of the training split only), half mirrored.

    Includes people with at least MIN_KNOWN of the labelled kinds of joints known, hidden or not;
    complete ones first. Missing joints are filled in (`filled`); truncated people are rescaled to
    be complete (`reprojected`). Sampling is without replacement. With `pitch_deg` each pose with
    known 3D joints is pitched towards the camera or away from it by a normal angle of that standard
    deviation, and a bank that is not full reuses all people, up to VIEWS times. Then the fraction
    `rotated` of the poses are rotated by any angle, as in `augment.rotated`. None without people,
    or if `count` is 0.
    """
    crops, (rows, known) = people.crops, _posed(people)
    if not count or not len(rows):
        return None
    order = stream(seed, "bank").permutation(len(rows))
    order = order[np.argsort(_gaps(known)[order], kind="stable")]
    extent, limbs = np.array([size[1], size[0]], np.float64), of_limbs(skeleton)

    def mirror(poses: F64) -> F64:
        return (poses * [-1, 1] + [1, 0])[:, skeleton.flip]

    crops_xy = (crops.xy[rows] - extent * (MARGIN - 1) / 2) / extent
    crops_xy[~known] = np.nan
    crops_xy = reprojected(crops_xy, limbs, size)
    whole, xyz = filled(np.concatenate([crops_xy, mirror(crops_xy)])), crops.xyz_m[rows]
    if pitch_deg:
        placed = np.concatenate([whole[: len(rows), limbs], xyz[:, limbs]], 2)
        deep = np.asarray(np.isfinite(placed).all((1, 2)))
        order = np.concatenate([order, np.tile(order[deep[order]], VIEWS - 1)])
    drawn = order[: max(count // 2, 1)]
    whole, xyz = whole[drawn], xyz[drawn]
    if pitch_deg:
        angle = np.deg2rad(stream(seed, "tipped poses").normal(0, pitch_deg, len(drawn)))
        for k in np.flatnonzero(deep[drawn]):
            whole[k], xyz[k] = _pitch(whole[k], xyz[k], angle[k], size, limbs)
    if rotated:
        angle = draw_rotations(rotated, stream(seed, "turned poses"), count=len(drawn))
        for k in np.flatnonzero(angle):
            whole[k], xyz[k] = _rotate(whole[k], xyz[k], angle[k], size)
    both = np.concatenate([xyz, (xyz * [-1, 1, 1])[:, skeleton.flip]])
    poses = np.nan_to_num(np.concatenate([whole, mirror(whole)]), nan=OUTSIDE)
    return PoseBank(
        torch.from_numpy(poses).float(),
        torch.from_numpy(both).float() if np.isfinite(both).all() else None,
        sharpness=sharpness,
    )


def bank_for(
    config: Config, people: CropSubset, skeleton: Skeleton, **changes: Any
) -> PoseBank | None:
    """The bank of a training's people by `config`, apart from `changes` of arguments of
    `pose_bank`; None as there."""
    network = config.network
    given: dict[str, Any] = {"size": network.size, "count": network.bank, "seed": config.seed}
    given |= {"rotated": config.augment.rotated, "sharpness": network.bank_sharpness}
    return pose_bank(people, skeleton, **given | changes)


def bank_of_others(
    net: PoseNet,
    config: Config,
    people: CropSubset,
    skeleton: Skeleton,
    *,
    count: int = ANSWER_POSES,
    pitch_deg: float = PITCH_DEG,
    rotated: float = ROTATED,
) -> tuple[PoseBank, Config]:
    """Replace a trained network's bank by poses of `people`; return the new bank, and the
    network's config with the number of its poses.

    Nothing is trained. The poses are viewed from more
    heights than in training (`pose_bank`). ModelError for a network without a bank, for
    people without poses, and for people without 3D joints if the old bank has them.
    """
    own = bank_of(net)
    if own is None:
        raise ModelError(
            "the network has no pose bank",
            where=config.name,
            expected="a network with the head orn, trained with network.bank above 0",
            got=f"head {config.network.head}, bank {config.network.bank}",
        )
    more = {"count": count, "pitch_deg": pitch_deg, "rotated": rotated}
    bank = bank_for(config, people, skeleton, sharpness=own.sharpness, **more)
    if bank is None:
        raise ModelError(
            "no known poses",
            where="pose bank",
            expected="people with half of the joints labelled",
            got=f"{len(people)} people",
        )
    if own.xyz_m is None:
        bank = PoseBank(bank.poses, sharpness=own.sharpness)
    elif bank.xyz_m is None:
        raise ModelError(
            "some of these people have no 3D joints, which the network's 3D output needs",
            where="pose bank",
            expected="people of synthstudio data sets only",
            then="Leave out photos, or use a network trained without 3D joints.",
        )
    net.block.bank = bank
    return bank, config.with_network(bank=len(bank.poses))


def reprojected(poses: F64, limbs: Bool, size: tuple[int, int]) -> F64:
    """Poses (P, J, 2), relative to the crop, each in a crop that holds its joints of `limbs` (J,):
    a truncated person, cropped by the visible part, is too large. Others are unchanged."""
    extent = np.array([size[1], size[0]], np.float64)
    out = poses.copy()
    beyond = ((poses[:, limbs] < 0) | (poses[:, limbs] > 1)).any((1, 2))
    for k in np.flatnonzero(beyond & np.isfinite(poses[:, limbs]).all((1, 2))):
        x, y, width, height = limb_window(poses[k, limbs] * extent, size)
        out[k] = (poses[k] * extent - [x, y]) / [width, height]
    return out


def _pitch(
    pose: F64, xyz_m: F32, angle: float, size: tuple[int, int], limbs: Bool
) -> tuple[F64, F32]:
    """A pose (J, 2) relative to the crop, and the same in 3D, rotated by `angle` (rad) about the
    picture's horizontal: the view of a far camera that much higher (scaled orthographic), in a
    crop that holds its `limbs` (J,). Unknown joints (NaN) stay so."""
    extent = np.array([size[1], size[0]], np.float64)
    c, s = np.cos(angle), np.sin(angle)
    seen = xyz_m.astype(np.float64)
    moved = seen @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]).T
    known = np.isfinite(pose).all(1)
    flat, own = seen[known, :2], pose[known] * extent
    flat, own = flat - flat.mean(0), own - own.mean(0)
    scale = max(float((own * flat).sum() / (flat**2).sum()), 0.0)  # least squares, pixels a metre
    there = pose * extent + scale * (moved - seen)[:, :2]
    x, y, width, height = limb_window(there[limbs], size)
    return (there - [x, y]) / [width, height], moved.astype(np.float32)


def _rotate(pose: F64, xyz_m: F32, angle: float, size: tuple[int, int]) -> tuple[F64, F32]:
    """A pose (J, 2) relative to the crop, and the same in 3D, as a camera rolled by `angle` (rad)
    shows it."""
    extent = np.array([size[1], size[0]], np.float64)
    edge = extent * (MARGIN - 1) / 2
    canvas = rotated_canvas(pose * extent + edge, angle, size)
    moved = np.linalg.solve(canvas[:, :2], (pose * extent + edge - canvas[:, 2]).T).T
    c, s = np.cos(angle), np.sin(angle)
    flat = xyz_m[:, :2] @ np.array([[c, -s], [s, c]])
    return (moved - edge) / extent, np.concatenate([flat, xyz_m[:, 2:]], 1).astype(np.float32)


def bank_note(bank: PoseBank | None, people: CropSubset) -> str:
    """A sentence on the bank, for a training's user."""
    if bank is None:
        return (
            "no pose bank: no person has half of the joints labelled, so hidden joints are found "
            "from the picture only"
        )
    _, known = _posed(people)
    held, gaps = len(bank.poses), int(_gaps(known).sum())
    note = f"pose bank: {held} poses, half of them mirrored, of {len(known)} people"
    note += f", {gaps} of them with unlabelled joints filled in" if gaps else ""
    return note + (f"; fewer than {SMALL_BANK} help little" if held < SMALL_BANK else "")


def _posed(people: CropSubset) -> tuple[I64, Bool]:
    """The people (P,) with usable poses, each once, and their known joints (P, J)."""
    crops, rows = people.crops, np.sort(people.rows)
    known = np.isfinite(crops.xy[rows]).all(-1) & (crops.state[rows] != NO_STATE)
    used = known.any(0)
    enough = known[:, used].mean(1) >= MIN_KNOWN if used.any() else known.any(1)
    known, rows = known[enough], rows[enough]
    _, first = np.unique(crops.group[rows] * 1000 + crops.instance[rows] % 1000, return_index=True)
    first = np.sort(first)  # a moment's variants show one pose
    return rows[first], known[first]


def _gaps(known: Bool) -> Bool:
    """Whether people (P,) lack a joint that others have."""
    return np.asarray(~known[:, known.any(0)].all(1))


def filled(poses: F64) -> F64:
    """Poses (P, J, 2) with unknown joints (NaN) at their mean given the known ones, of a Gaussian
    with covariances shrunk by 2 % and cut to be positive definite. Joints unknown for all stay
    NaN."""
    flat = poses.reshape(len(poses), -1)
    used = np.isfinite(flat).any(0)
    x = flat[:, used]
    known = np.isfinite(x)
    mean = np.nanmean(x, 0) if len(x) else np.zeros(x.shape[1])
    centred = np.where(known, x - mean, 0)
    pairs = known.T.astype(np.float64) @ known
    covariance = np.where(pairs >= _MIN_PAIRS, centred.T @ centred / np.maximum(pairs, 1), 0)
    covariance = 0.98 * covariance + np.diag(0.02 * covariance.diagonal() + 1e-6)
    values, vectors = np.linalg.eigh(covariance)
    covariance = (vectors * np.maximum(values, 1e-4 * values.max())) @ vectors.T
    out = flat.copy()
    patterns, which = np.unique(known, axis=0, return_inverse=True)
    for number, has in enumerate(patterns):
        if has.all():
            continue
        of = np.flatnonzero(which.ravel() == number)
        cross, own = covariance[np.ix_(~has, has)], covariance[np.ix_(has, has)]
        guess = mean[~has] + centred[np.ix_(of, has)] @ np.linalg.solve(own, cross.T)
        out[np.ix_(of, np.flatnonzero(used)[~has])] = guess
    return out.reshape(poses.shape)


def bank_sample(net: PoseNet, batch: Batch, config: Config, *, step: int) -> BankSample | None:
    """`bank_sample` poses (0: all) of the bank, drawn by (seed, step), augmented like `batch`."""
    bank = bank_of(net)
    if bank is None:
        return None
    held, count = len(bank.poses), config.network.bank_sample
    rows = np.arange(held)
    if count and count < held:
        drawn = stream(config.seed, "bank sample", step)
        rows = np.sort(drawn.choice(held, count, replace=False))
    extent = np.array([config.network.size[1], config.network.size[0]], np.float64)
    # Rotated people have rotated poses in the bank, as in inference: poses do not follow rotations.
    view = batch.unrotated
    linear = np.linalg.inv(view[:, :, :2])
    offset = np.einsum("bij,bj->bi", linear, extent * (MARGIN - 1) / 2 - view[:, :, 2])
    # A mirrored crop: the bank contains mirrored poses, so they need no mirroring.
    mirrored = np.linalg.det(linear) < 0
    offset[mirrored] += linear[mirrored][:, :, 0] * extent[0]
    linear[mirrored, :, 0] *= -1
    turn = linear / np.sqrt(np.linalg.det(linear))[:, None, None]
    move = np.concatenate([linear * extent / extent[:, None], (offset / extent)[..., None]], 2)
    labels = batch.labels.xy.double().numpy()
    labels[(batch.labels.state == NO_STATE).numpy()] = np.nan
    own = np.linalg.solve(move[:, :, :2], (labels - move[:, None, :, 2]).transpose(0, 2, 1))
    device = bank.poses.device
    return BankSample(
        rows=torch.from_numpy(rows).to(device),
        move=torch.from_numpy(move).float().to(device),
        turn=torch.from_numpy(turn).float().to(device),
        own=torch.from_numpy(own.transpose(0, 2, 1)).float().to(device),
    )
