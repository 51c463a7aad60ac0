"""Pastes over people while Ultralytics trains a YOLO pose network.

    pip install ultralytics && synthstudio objects exports/objects
    python examples/10_occlude_in_ultralytics.py --objects exports/objects --epochs 100

Run 01_first_dataset.py first. Ultralytics is AGPL-3.0.
"""

import argparse
import random
from pathlib import Path

from ultralytics.data.dataset import YOLODataset
from ultralytics.models.yolo.pose import PoseTrainer

import synthstudio as ss
from synthstudio.transforms import occlude_people

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--dataset", default="exports/first")
parser.add_argument("--objects", default=None)
parser.add_argument("--model", default="yolo11n-pose.yaml")
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--size", type=int, default=640)
args = parser.parse_args()


def occlude(labels: dict) -> dict:
    """A transform of Ultralytics: BGR image and instances in, the same with pastes out."""
    instances, rgb = labels["instances"], labels["img"][..., ::-1].copy()
    instances.convert_bbox("ltwh")
    instances.denormalize(*rgb.shape[1::-1])
    drawn = {"seed": random.getrandbits(62), "people": 0.5}  # seeded in each worker
    boxes, points = instances.bboxes, instances.keypoints
    made = occlude_people(rgb, points, boxes=boxes, cutouts=args.objects, **drawn)
    labels["img"] = made.image[..., ::-1].copy()
    instances.keypoints = made.keypoints.astype("float32")  # v 1: hidden, still trained on
    return labels


class OccludedDataset(YOLODataset):
    def build_transforms(self, hyp=None):
        transforms = super().build_transforms(hyp)
        if self.augment:  # before the last one, which formats the labels
            transforms.insert(len(transforms.transforms) - 1, occlude)
        return transforms


class Trainer(PoseTrainer):
    def build_dataset(self, img_path, mode="train", batch=None):
        dataset = super().build_dataset(img_path, mode, batch)
        dataset.__class__ = OccludedDataset
        dataset.transforms = dataset.build_transforms(self.args)
        return dataset


made = ss.export(args.dataset, "yolo", "exports/occluded-yolo")
settings = {"model": args.model, "epochs": args.epochs, "imgsz": args.size}
Trainer(overrides={**settings, "data": str(Path(made.annotations).resolve())}).train()
