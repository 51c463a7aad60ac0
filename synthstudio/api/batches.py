"""`ss.batches` and `ss.with_bank`: parts of the training loop for custom loops."""

from __future__ import annotations

import functools
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from synthstudio.api import arguments as args
from synthstudio.api.datasets import Dataset
from synthstudio.core.errors import ArgumentError
from synthstudio.core.skeleton import Skeleton
from synthstudio.models.pose_bank import PoseBank, fuse
from synthstudio.training import config as configs
from synthstudio.training import devices
from synthstudio.training.data.batches import Batch, InputSpec, make_batch, prefetch, stack_images
from synthstudio.training.data.sources import load_pictures, load_subset
from synthstudio.training.data.windows import crop_and_resize, crop_window
from synthstudio.training.poses import pose_bank
from synthstudio.training.trainer import batch_rows

if TYPE_CHECKING:
    from torch import Tensor


class Batches:
    """Batches of people, a function of seed and step; each iteration starts at the first.

    `skeleton`: names, mirror order and sigmas of the J joints. A batch has `images` (B, 3, H, W)
    uint8 RGB and `labels`: `xy` (B, J, 2) from 0 to 1 across the crop, `known` (B, J), `state`,
    `visibility_fractions` (B, J, 4), `occluder` (B, 1, H/4, W/4), ...; what `models.losses` takes.
    """

    def __init__(
        self, config: Any, cache: Path | None, skeleton: Skeleton | None, steps: int | None
    ) -> None:
        self._config = config
        if cache is None:
            cache = Path(tempfile.mkdtemp(prefix="synthstudio-crops-"))
            weakref.finalize(self, shutil.rmtree, cache, ignore_errors=True)
        self.people, self.skeleton = load_subset(config.train, config, cache, skeleton=skeleton)
        self._pictures = load_pictures(config)
        self._spec = InputSpec(size=config.network.size, skeleton=self.skeleton)
        self.per_epoch = max(len(self.people) // config.batch, 1)
        order = functools.partial(self.people.epoch_order, config.seed)
        self._order = functools.lru_cache(1)(order)
        self.steps = steps or self.per_epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        return prefetch(self._make, range(self.steps))

    def _make(self, step: int) -> Batch:
        config = self._config
        epoch, step_in_epoch = divmod(step, self.per_epoch)
        return make_batch(
            self.people.crops,
            batch_rows(config, self._order(epoch), step_in_epoch, devices.ALONE),
            self._spec,
            config.augment,
            seed=config.seed,
            step=step,
            pictures=self._pictures,
        )

    def cut_out(self, image: Any, boxes: Any) -> tuple[Tensor, Tensor]:
        """People of an image (H, W, 3) uint8 in the form of batches, not augmented.

        `boxes` (P, 4) x y w h; returns crops (P, 3, H, W) uint8 and their windows (P, 4) x y w h
        in pixels of the image.
        """
        import torch

        size = self._spec.size
        windows = np.array([crop_window(np.asarray(box, np.float64), size) for box in boxes])
        cut = [crop_and_resize(image, w[:2], size[1] / w[2], size) for w in windows]
        return stack_images(cut), torch.from_numpy(windows)

    @args.checked
    def bank(self, poses: Annotated[int, args.Option(minimum=2)] = 8000) -> PoseBank:
        """A bank of up to so many poses of these people, half of them mirrored, for `with_bank`.

        Raises:
            ArgumentError: when no person has half of the joints labelled.
        """
        size, seed = self._config.network.size, self._config.seed
        found = pose_bank(self.people, self.skeleton, size=size, count=poses, seed=seed)
        if found is None:
            raise ArgumentError(
                "no known poses", where="sources", expected="half of the joints labelled"
            )
        return found


@args.checked
def batches(
    sources: Any,
    *,
    size: tuple[int, int] = (256, 192),
    augment: Mapping[str, Any] | bool = True,
    skeleton: Skeleton | args.PathLike | None = None,
    batch: args.Count = 32,
    steps: args.Count | None = None,
    seed: int = 0,
    cache: args.PathLike | None = None,
) -> Batches:
    """Batches of people as in `ss.train`: cropped, augmented, occluded and mixed.

    Args:
        sources: A data set, a COCO keypoints file (.json), or a dict of the fields of `train` in
            docs/training_fields.md (`weight`, `splits`, `boxes`, ...); or a list of these.
        size: Height and width of the crops in pixels, multiples of 4.
        augment: Fields of `augment` there (`{"paste": 0.5}`); True: the defaults; False: none.
        skeleton: Which joints people are converted to; default: the first source's.
        batch: People a batch.
        steps: How many batches; default: one pass.
        seed: Decides order and augmentation.
        cache: Folder of cached crops; default: none.

    Raises:
        ArgumentError: for an invalid source. ModelError: for invalid fields, or when
        no person has a labelled joint. FormatError: for a damaged file.
    """
    listed = sources if isinstance(sources, list | tuple) else [sources]
    plain = configs.NO_AUGMENTATION.model_dump()
    given = dict(augment) if isinstance(augment, Mapping) else {} if augment else plain
    config = configs.parse(
        {
            "train": [_source(one) for one in listed],
            "network": {"size": list(size) if isinstance(size, Sequence) else size},
            "augment": given,
            "batch": batch,
            "seed": seed,
        },
        "batches",
    )
    if unfit := [s.name for s in config.train if s.stream or s.recipe]:
        raise ArgumentError(
            "a recipe cannot be held in memory",
            where="sources",
            got=", ".join(unfit),
            then="Generate the recipe's data set first, or train with ss.train.",
        )
    joints = None if skeleton is None else args.to_skeleton(skeleton)
    return Batches(config, args.optional(args.to_path, cache, "cache"), joints, steps)


def _source(source: Any) -> dict[str, Any]:
    if isinstance(source, Mapping):
        return dict(source)
    if isinstance(source, Dataset):
        if source._stored.only is not None:
            raise ArgumentError(
                "a query is not a source", where="sources", then="Filter it into a data set first."
            )
        return {"dataset": str(source.path)}
    if not args.is_path(source):
        expected = "a data set, a COCO file, a dict of fields, or a list of these"
        raise ArgumentError(
            "invalid source of people", where="sources", expected=expected, got=args.shown(source)
        )
    path = str(source)
    return {"coco": path} if path.endswith(".json") else {"dataset": path}


@args.checked
def with_bank(
    maps: Any, poses: Any, *, power: Annotated[float, args.Option(minimum=0, maximum=10)] = 0.5
) -> Any:
    """Heat maps multiplied by a pose prior: where hidden joints are, given the others.

    Every joint's map is multiplied by that of the poses which fit the other joints' maps, to
    `power`. Nothing is learnt, so it works behind any network.

    Args:
        maps: (B, J, h, w) at least 0, an array or a tensor; each is normalised to a probability.
        poses: A bank (`Batches.bank`, or `ss.Model.load(run).net.block.bank`), or an array
            (N, J, 2) of joints from 0 to 1 across the crop, in the order of the maps.
        power: Weight of the poses, at least 0.

    Returns:
        Maps of the same kind and shape that sum to one.

    Raises:
        ArgumentError: for invalid maps, or a bank of other joints.
    """
    import torch

    own = torch.as_tensor(maps).detach().float()
    if own.ndim != 4 or not torch.isfinite(own).all() or (own < 0).any():
        raise ArgumentError(
            "not heat maps",
            where="maps",
            expected="(B, J, h, w), finite, at least 0 (logits: softmax over the cells first)",
            got=f"{tuple(own.shape)}, from {float(own.min()) if own.numel() else 'nothing'}",
        )
    bank = poses if isinstance(poses, PoseBank) else PoseBank(torch.as_tensor(poses).float())
    if bank.poses.shape[1] != own.shape[1]:
        raise ArgumentError(
            "joints of poses and maps differ",
            where="poses",
            expected=f"{own.shape[1]} joints",
            got=str(bank.poses.shape[1]),
            then="Convert their people: ss.batches(..., skeleton=...).",
        )
    probabilities = own / own.sum((2, 3), keepdim=True).clamp_min(1e-12)
    with torch.no_grad():
        found = bank.to(own.device)(probabilities).maps
        joined = fuse(probabilities, found.log(), power)
    return joined if isinstance(maps, torch.Tensor) else joined.cpu().numpy()
