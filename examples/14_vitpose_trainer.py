"""A ViTPose of transformers trained by its Trainer on people with pasted occluders, and evaluated.

    python examples/14_vitpose_trainer.py --model usyd-community/vitpose-base-simple --steps 300

Run 01_first_dataset.py first; `pip install "synthstudio[train]" accelerate`. Without --model a
small one starts from random weights.
"""

import argparse
import json
from pathlib import Path

import torch
from torch.utils.data import IterableDataset
from transformers import Trainer, TrainingArguments, VitPoseConfig, VitPoseForPoseEstimation

import synthstudio as ss
from synthstudio.api.evaluations import headline
from synthstudio.models.heatmaps import decode_peak, gaussian_map

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--model", default="")
parser.add_argument("--steps", type=int, default=20)
args = parser.parse_args()
ds = ss.Dataset("exports/first")
people = ss.batches(ds, augment={"paste": 0.5}, skeleton="coco17", batch=1, steps=8 * args.steps)
mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
small = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "out_indices": [2]}
small |= {"model_type": "vitpose_backbone", "image_size": [256, 192]}
random = VitPoseConfig(backbone_config=small, use_simple_decoder=True)
random.num_labels = 17
load = VitPoseForPoseEstimation.from_pretrained
model = load(args.model) if args.model else VitPoseForPoseEstimation(random)


class People(IterableDataset):
    def __iter__(self):
        for one in people:
            images, labels = (one.images[0] / 255 - mean) / std, one.labels
            yield {"pixel_values": images, "xy": labels.xy[0], "known": labels.known[0]}


class PoseTrainer(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, **given):
        maps = model(pixel_values=inputs["pixel_values"]).heatmaps
        aim = gaussian_map(inputs["xy"].nan_to_num() * torch.tensor([48, 64]), 64, 48, sigma=2)
        aim = aim / aim.amax((2, 3), keepdim=True)
        loss = ((maps - aim).square().mean((2, 3)) * inputs["known"]).mean()
        return (loss, maps) if return_outputs else loss


fields = {"max_steps": args.steps, "learning_rate": 5e-5, "per_device_train_batch_size": 8}
fields |= {"use_cpu": True, "report_to": "none", "save_strategy": "no"}
how = TrainingArguments("exports/vitpose-run", remove_unused_columns=False, **fields)
PoseTrainer(model, how, train_dataset=People()).train()
results = []
for frame in ds:
    crops, windows = people.cut_out(frame.image, frame.people.amodal_boxes_px)
    with torch.inference_mode():
        found = decode_peak(model.eval()(pixel_values=(crops / 255 - mean) / std).heatmaps)
    px = windows[:, None, :2] + found.xy * windows[:, None, 2:3] / 48 - 0.5  # COCO: pixel indices
    for points, scores in zip(px.tolist(), found.score.tolist(), strict=True):
        joints = [v for p, s in zip(points, scores, strict=True) for v in (*p, s)]
        entry = {"image_id": frame.index, "category_id": 1, "keypoints": joints}
        results.append(entry | {"score": sum(scores) / 17})
path = Path("exports/vitpose-results.json")
path.write_text(json.dumps(results))
print(headline(ss.evaluate(predictions=path, dataset=ds, out="exports/vitpose-judged")))
