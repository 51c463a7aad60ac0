"""Pastes over people in a pipeline of MMPose.

    pip install -U openmim && mim install mmcv mmpose
    synthstudio objects exports/objects --count 500
    python examples/11_occlude_in_mmpose.py --objects exports/objects

In a config of MMPose: `custom_imports = dict(imports="occlude_in_mmpose")` for the class below,
and `dict(type="OccludePeople", cutouts="exports/objects")` after `TopdownAffine`.
Run 01_first_dataset.py first, or name a data set.
"""

import argparse

import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmpose.registry import TRANSFORMS

import synthstudio as ss
from synthstudio.transforms import occlude_people


@TRANSFORMS.register_module()
class OccludePeople(BaseTransform):
    """Needs `img` (H, W, 3) BGR, `transformed_keypoints` (1, K, 2), `keypoints_visible` (1, K);
    adds `visible_share` (1, K). `keypoints_visible`, MMPose's weight, stays: hidden joints are
    trained on."""

    def __init__(self, cutouts=None, fraction=(0.1, 0.6), prob=0.5):
        self.options = {"cutouts": cutouts, "fraction": fraction, "people": prob}

    def transform(self, results: dict) -> dict:
        v = np.where(results["keypoints_visible"] > 0, 2, 0)[..., None]
        points = np.concatenate([results["transformed_keypoints"], v], -1)
        seed = np.random.randint(2**31)  # noqa: NPY002  # MMEngine seeds it in each worker
        rgb = np.ascontiguousarray(results["img"][..., ::-1])
        made = occlude_people(rgb, points, seed=seed, **self.options)
        results["img"] = np.ascontiguousarray(made.image[..., ::-1])
        results["visible_share"] = made.visible_share
        return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="exports/first")
    parser.add_argument("--objects", default=None)
    args = parser.parse_args()
    frame = ss.Dataset(args.dataset)[0]
    x, y, w, h = frame.people.boxes_px[0]
    affine = {"type": "TopdownAffine", "input_size": (192, 256)}
    steps = [{"type": "GetBBoxCenterScale"}, affine]
    steps.append({"type": "OccludePeople", "cutouts": args.objects, "prob": 1.0})
    sample = {"img": frame.image[..., ::-1].copy(), "bbox": np.array([[x, y, x + w, y + h]])}
    sample["keypoints"] = frame.people.joints_px[:1]
    sample["keypoints_visible"] = (frame.people.state[:1] != 255).astype(np.float32)
    sample = Compose([TRANSFORMS.build(step) for step in steps])(sample)
    print(sample["img"].shape, "visible shares", np.round(sample["visible_share"], 2))
