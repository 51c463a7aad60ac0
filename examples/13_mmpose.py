"""A heat-map network of MMPose (Apache-2.0) trained on generated people, and evaluated.

    python examples/13_mmpose.py --epochs 20

Run 01_first_dataset.py first, where MMPose is installed. Published configs take the same three
lines of data: `metainfo`, `data_root`, `ann_file`.
"""

import argparse

from mmengine.config import Config
from mmengine.runner import Runner
from mmpose.utils import register_all_modules

import synthstudio as ss
from synthstudio.api.evaluations import headline

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=1)
epochs = parser.parse_args().epochs
ds = ss.Dataset("exports/first")
made = ds.query("split = train or split = val").export("coco", "exports/mm", skeleton="coco17")
codec = {"type": "MSRAHeatmap", "input_size": (192, 256), "heatmap_size": (48, 64), "sigma": 2}


def loader(split: str, *more: dict) -> dict:
    steps = [{"type": "LoadImage"}, {"type": "GetBBoxCenterScale"}, *more]
    steps += [{"type": "TopdownAffine", "input_size": (192, 256)}]
    steps += [{"type": "GenerateTarget", "encoder": codec}] if more else []
    data = {
        "type": "CocoDataset",
        "data_mode": "topdown",
        "metainfo": {"from_file": "exports/mm/mmpose_dataset.py"},
        "data_root": "exports/mm",
        "ann_file": f"annotations/person_keypoints_{split}.json",
        "data_prefix": {"img": f"images/{split}/"},
        "test_mode": not more,
        "pipeline": [*steps, {"type": "PackPoseInputs"}],
    }
    sampler = {"type": "DefaultSampler", "shuffle": bool(more)}
    return {"batch_size": 8, "num_workers": 0, "dataset": data, "sampler": sampler}


head = {"type": "HeatmapHead", "in_channels": 512, "out_channels": 17, "decoder": codec}
head["loss"] = {"type": "KeypointMSELoss", "use_target_weight": True}
normal = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375], "bgr_to_rgb": True}
config = {
    "default_scope": "mmpose",
    "model": {
        "type": "TopdownPoseEstimator",
        "data_preprocessor": {"type": "PoseDataPreprocessor", **normal},
        "backbone": {"type": "ResNet", "depth": 18},
        "head": head,
    },
    "train_dataloader": loader("train", {"type": "RandomFlip"}),
    "train_cfg": {"by_epoch": True, "max_epochs": epochs},
    "optim_wrapper": {"optimizer": {"type": "AdamW", "lr": 5e-4}},
    "test_dataloader": loader("val"),
    "test_cfg": {},
    "test_evaluator": {
        "type": "CocoMetric",
        "ann_file": "exports/mm/annotations/person_keypoints_val.json",
        "format_only": True,
        "outfile_prefix": "exports/mm-results",
    },
    "work_dir": "exports/mm-run",
}
register_all_modules()
runner = Runner.from_cfg(Config(config))
runner.train()
runner.test()
path = "exports/mm-results.keypoints.json"
judged = ss.evaluate(predictions=path, dataset=ds, split="val", out="exports/mm-judged")
print(headline(judged))
