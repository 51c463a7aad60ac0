"""A run on disk, and a run initialised from another's weights.

    RUN/config.yaml     the config, defaults included
    RUN/best.safetensors, last.safetensors     weights to use; their metadata holds the config
    RUN/state.safetensors                      weights, average, optimizer, progress: to resume
    RUN/log.csv, events.*                      losses and metrics

Files are replaced atomically, so a kill at any time leaves the previous one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from synthstudio.core.errors import ModelError, SynthStudioError
from synthstudio.core.places import free_folder
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.durable import new_parents, remove, replace_file
from synthstudio.models.backbones import resized_positions
from synthstudio.models.contract import PoseNet, System
from synthstudio.models.external_backbones import matching_report
from synthstudio.models.pose_bank import OUTSIDE, PoseBank, bank_of
from synthstudio.training import config as configs
from synthstudio.training.config import Config
from synthstudio.training.networks import build, describe_backbone, empty_bank

FORMAT = "synthstudio-pose-2"


@dataclass(kw_only=True)
class Progress:
    """Progress of a run. `best`: the validation score of `best_epoch`; `data`: the data's key."""

    step: int = 0
    best: float = float("-inf")
    best_epoch: int = -1
    epoch: int = 0
    seconds: float = 0.0
    data: str = ""


@contextmanager
def prepared_folder(out: Path, config: Config, *, resume: bool) -> Iterator[None]:
    """Make the run's folder, deleted for an error before the first step; ModelError when it holds
    another run, or one without `resume`."""
    saved = out / "config.yaml"
    if saved.is_file():
        _check_config(saved, config, resume=resume)
        yield
        return
    free_folder(out, own={"cache"}.__contains__)
    had = set(out.iterdir()) if out.exists() else set()
    with new_parents(saved):
        try:
            replace_file(saved, configs.dump_yaml(config).encode())
            yield
        except SynthStudioError:
            for path in set(out.iterdir()) - had:
                remove(path)
            raise


def _check_config(saved: Path, config: Config, *, resume: bool) -> None:
    if not resume:
        raise ModelError(
            "a run already exists",
            where=str(saved.parent),
            expected="a new folder",
            then="Choose another --out, or continue it with --resume.",
        )
    before = configs.load(saved)
    if before != config:
        old = configs.dump(before)
        changed = [key for key, value in configs.dump(config).items() if value != old[key]]
        raise ModelError(
            "the run has another config",
            where=str(saved),
            got=f"changed: {', '.join(changed)}",
            then="Choose another --out, or use the config.yaml there.",
        )


def weights_file(path: Path) -> Path:
    """The weights file of a path: itself, or a run's best one; ModelError if missing."""
    best = path if path.is_file() else path / "best.safetensors"
    if not best.is_file():
        raise ModelError(
            "no weights",
            where=str(path),
            expected="a run with best.safetensors, a .safetensors or .onnx file, or default",
            then="Train first: synthstudio train CONFIG --out RUN.",
        )
    return best


def save_weights(
    path: Path, net: nn.Module, config: Config, *, skeleton: Skeleton, note: str
) -> None:
    """Write a network that `load_network` reads; DiskError on failure."""
    metadata = _metadata(config, skeleton) | {"note": note, "backbone": describe_backbone(net)}
    _write(path, net.state_dict(), metadata)


def load_network(path: Path) -> tuple[PoseNet, Config, Skeleton]:
    """Load the top-down network of a weights file, as `load_any` does; ModelError for another."""
    net, config, skeleton = load_any(path)
    if not net.has_joint_maps:
        raise ModelError(
            "this network is not top-down with joint maps",
            where=str(path),
            expected="a top-down network",
            got=config.network.system,
        )
    return net, config, skeleton  # type: ignore[return-value]


def load_any(path: Path) -> tuple[System, Config, Skeleton]:
    """Load the network of a weights file, in evaluation mode. ModelError when it is damaged, of
    another kind, contradicts its config, or refers to a backbone: nothing but the file is read."""
    tensors, metadata = read(path)
    config = _stored_config(metadata, path)
    skeleton = get_skeleton(metadata["skeleton"])
    backbone = metadata.get("backbone", "")
    if not backbone and config.network.is_external:
        raise _incomplete("the description of its backbone", path, config.network.backbone)
    net = build(config.network, skeleton, bank=empty_bank(tensors), backbone=backbone or "{}")
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(
            "the weights contradict their config",
            where=str(path),
            got=str(error).splitlines()[1].strip()[:200],
        ) from error
    return net.eval(), config, skeleton


def is_own(path: Path) -> bool:
    """Whether a file is a checkpoint of this package, not another program's weights."""
    try:
        with safe_open(path, framework="pt") as file:
            return "format" in _parse_metadata(file.metadata())
    except (SafetensorError, OSError):
        return False


def backbone_of(path: Path) -> str:
    """`network.backbone` of a checkpoint; ModelError."""
    return _stored_config(read(path)[1], path).network.backbone


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a file of this package; ModelError for any other."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = _parse_metadata(file.metadata())
            if metadata.get("format") != FORMAT:
                raise ModelError(
                    "not a synthstudio pose network",
                    where=str(path),
                    expected=FORMAT,
                    got=str(metadata.get("format")),
                )
            if "skeleton" not in metadata:
                raise _incomplete("the name of a skeleton", path)
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(
            "the checkpoint cannot be read",
            where=str(path),
            got=str(error)[:200],
            then="Use another one, or train again.",
        ) from error


def _stored_config(metadata: Mapping[str, str], path: Path) -> Config:
    try:
        data = json.loads(metadata.get("config", "null"))
    except (ValueError, RecursionError) as error:
        raise _incomplete("a config", path, str(error)) from error
    try:
        return configs.parse(data, str(path))
    except ModelError as error:
        raise ModelError(
            f"synthstudio {version('synthstudio')} does not read the config of this checkpoint",
            where=str(path),
            got=str(error)[:300],
            then="Train again, or use the version that wrote it.",
        ) from error


def _incomplete(missing: str, path: Path, got: str | None = None) -> ModelError:
    return ModelError(
        "the checkpoint is incomplete",
        where=str(path),
        expected=missing,
        got=None if got is None else got[:200],
        then="Use another one, or train again.",
    )


class RunState(Protocol):
    """What a run continues from; `ema`: the average of its weights, if it has one."""

    net: Any
    ema: nn.Module | None
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    progress: Progress


def save_state(path: Path, run: RunState, config: Config, skeleton: Skeleton) -> None:
    """Write the complete state of a run; DiskError on failure."""
    tensors = {f"net.{k}": v for k, v in run.net.state_dict().items()}
    if run.ema is not None:
        tensors |= {f"ema.{k}": v for k, v in run.ema.state_dict().items()}
    for number, state in run.optimizer.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{k}": torch.as_tensor(v) for k, v in state.items()}
    tensors["torch_rng"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["cuda_rng"] = torch.cuda.get_rng_state()
    scaler = json.dumps(run.scaler.state_dict())
    metadata = {"place": json.dumps(vars(run.progress)), "scaler": scaler}
    _write(path, tensors, _metadata(config, skeleton) | metadata)


def load_state(path: Path, run: RunState) -> None:
    """Restore a run; ModelError for an incompatible file."""
    tensors, metadata = read(path)
    try:
        run.net.load_state_dict(_under(tensors, "net."))
        if run.ema is not None:
            run.ema.load_state_dict(_under(tensors, "ema."))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _under(tensors, "optimiser.").items():
            number, key = name.split(".", 1)
            moments.setdefault(int(number), {})[key] = value
        run.optimizer.load_state_dict({**run.optimizer.state_dict(), "state": moments})
        run.progress = Progress(**json.loads(metadata["place"]))
        run.scaler.load_state_dict(json.loads(metadata["scaler"]))
        torch.set_rng_state(tensors["torch_rng"])
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise ModelError(
            "the saved state is incompatible with this run",
            where=str(path),
            got=str(error).splitlines()[0][:200],
            then="Start again in another folder.",
        ) from error
    if "cuda_rng" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda_rng"])


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _metadata(config: Config, skeleton: Skeleton) -> dict[str, str]:
    dumped = json.dumps(configs.dump(config))
    return {"format": FORMAT, "config": dumped, "skeleton": skeleton.name}


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors, with metadata in one entry: safetensors orders several at random."""
    own = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    one = {"synthstudio": json.dumps(metadata, sort_keys=True)}
    replace_file(path, save(own, metadata=one))


def _parse_metadata(entries: Any) -> dict[str, str]:
    try:
        metadata = json.loads((entries or {}).get("synthstudio", "{}"))
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in metadata.items()} if isinstance(metadata, dict) else {}


# A run initialised from another's weights: tensors with a part for each joint are copied by joint
# names, so a network of 17 joints can initialise one of 12, or the other way round. Joints that the
# file lacks stay random, and are ignored in the poses of its bank. A 2D joint can be outside the
# crop, but a 3D position cannot encode "none": a file that lacks joints provides no 3D poses.

POSES, POSES_3D = "block.bank.poses", "block.bank.xyz_m"
REFINER = "block.refiner.maps.weight"
JOINT_AXES = {
    "block.maps.weight": 0, "block.maps.bias": 0,
    "block.first.weight": 0, "block.first.bias": 0,
    "block.lean.own": 0, "block.heads.own": 0,
    REFINER: 1,
    "block.refiner.last.weight": 0, "block.refiner.last.bias": 0,
}  # fmt: skip
"""Tensors with a part for each joint, and the axis of the joints. The refiner's first channel is
the occluder map."""
for _stage in range(7):  # of eight stacked hourglasses, the most
    JOINT_AXES |= {f"features.heads.{_stage}.{part}": 0 for part in ("weight", "bias")}
    JOINT_AXES[f"features.returned.{_stage}.weight"] = 1
POSITIONS = "features.positions"


def initialize(net: nn.Module, path: Path, *, skeleton: Skeleton, poses: int) -> str:
    """Load the matching weights of a file into `net`; return a report, in lines.

    `skeleton`: that of `net`, whose bank keeps its own poses and is filled up to `poses` with those
    of the file. ModelError if nothing matches, or the file is not of this package.
    """
    tensors, metadata = read(path)
    source = get_skeleton(metadata["skeleton"])
    own = net.state_dict()
    tensors = map_joints(own, tensors, joints=skeleton.joints, source=source.joints)
    if POSITIONS in own and POSITIONS in tensors:  # of a vit of another input size
        grid = (own[POSITIONS].shape[1], own[POSITIONS].shape[2])
        tensors[POSITIONS] = resized_positions(tensors[POSITIONS], grid)
    had = bank_of(net)
    bank = merge_banks(had, tensors, maximum=poses)
    tensors = {k: v for k, v in tensors.items() if k not in (POSES, POSES_3D)}
    if bank is not None:
        net.block.bank = bank  # type: ignore[union-attr]
        tensors |= {f"block.bank.{k}": v for k, v in bank.state_dict().items()}
        own = net.state_dict()
    fitting = {k: v for k, v in tensors.items() if k in own and own[k].shape == v.shape}
    if not fitting:
        raise ModelError(
            "no weight matches the network",
            where=str(path),
            expected=f"names like {next(iter(own))}",
            got=f"names like {next(iter(tensors), 'none')}",
        )
    net.load_state_dict(fitting, strict=False)
    kept = [k for k in (POSES, POSES_3D) if k in own and k not in fitting]
    lines = matching_report(
        len(fitting),
        missing=[k for k in own if k not in fitting and k not in kept],
        unused=[k for k in tensors if k not in own],
        reshaped=[k for k in tensors if k in own and k not in fitting],
    )
    if not any("features." in name for name in fitting):
        lines.append("no backbone weights: the file has another backbone")
    if kept:
        lines.append("the bank holds only the poses of the training people")
    if source.joints != skeleton.joints:
        new = [name for name in skeleton.joints if name not in source.joints]
        lines.append(
            f"{len(skeleton.joints) - len(new)} of {len(skeleton.joints)} joints by name from "
            f"{source.title}" + (f"; new: {', '.join(new)}" if new else "")
        )
    if had is not None and bank is not None:
        lines.append(f"{len(bank.poses) - len(had.poses)} poses of the file fill up the bank")
    return "\n".join(lines)


def map_joints(
    own: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    *,
    joints: Sequence[str],
    source: Sequence[str],
) -> dict[str, Tensor]:
    """Weights `state` of joints `source`, rearranged for a network `own` of `joints`.

    Tensors that differ in more than the number of joints are unchanged.
    """
    pairs = [(j, source.index(name)) for j, name in enumerate(joints) if name in source]
    to, rows = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).t()
    out = dict(state)
    for name, axis in JOINT_AXES.items():
        if name in own and name in state:
            before = 1 if name == REFINER else 0
            target, given = own[name].movedim(axis, 0), state[name].to(own[name]).movedim(axis, 0)
            repeats = [(len(t) - before) / len(j) for t, j in ((target, joints), (given, source))]
            if target.shape[1:] != given.shape[1:] or any(r != int(r) or r < 1 for r in repeats):
                continue
            mapped = target.clone()
            mapped[:before] = given[:before]
            for k in range(int(min(repeats))):  # first maps, then those of the bank
                mapped[before + k * len(joints) + to] = given[before + k * len(source) + rows]
            out[name] = mapped.movedim(0, axis).contiguous()
    for name in (POSES, POSES_3D):
        if name in state:
            poses = state[name]
            out[name] = torch.full((len(poses), len(joints), poses.shape[-1]), OUTSIDE).to(poses)
            out[name][:, to] = poses[:, rows]
    if len(pairs) < len(joints):
        out.pop(POSES_3D, None)
    return out


def merge_banks(
    own: PoseBank | None, state: Mapping[str, Tensor], *, maximum: int
) -> PoseBank | None:
    """The bank `own` filled up to `maximum` poses with those of `state`, in 3D only if both are;
    None without poses to add."""
    if own is None or POSES not in state or len(own.poses) >= maximum:
        return None
    more = state[POSES][: maximum - len(own.poses)]
    xyz = None
    if own.xyz_m is not None and POSES_3D in state:
        xyz = torch.cat([own.xyz_m, state[POSES_3D][: len(more)]])
    return PoseBank(torch.cat([own.poses, more]), xyz, sharpness=own.sharpness)
