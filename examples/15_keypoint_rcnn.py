"""Keypoint R-CNN of torchvision (BSD) trained on generated people, and evaluated.

    python examples/15_keypoint_rcnn.py --weights DEFAULT --steps 300

Run 01_first_dataset.py first; `pip install "synthstudio[backbones]"`. Without --weights it starts
from random ones.
"""

import argparse
import json
from pathlib import Path

import torch
from torchvision.models.detection import keypointrcnn_resnet50_fpn
from torchvision.transforms.functional import to_tensor

import synthstudio as ss
from synthstudio.api.evaluations import headline

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--weights", default=None)
parser.add_argument("--steps", type=int, default=3)
parser.add_argument("--size", type=int, default=320)
args = parser.parse_args()
ds = ss.Dataset("exports/first")
made = ds.query("split = train").export("coco", "exports/rcnn", skeleton="coco17")
file = json.loads(made.annotations.read_text())
people = {image["id"]: [] for image in file["images"]}
for entry in file["annotations"]:
    people[entry["image_id"]].append(entry)


def sample(number: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    entries = people[number]
    boxes = torch.tensor([entry["bbox"] for entry in entries])  # amodal, x y w h
    points = torch.tensor([entry["keypoints"] for entry in entries]).view(-1, 17, 3).float()
    points[..., 2] = (points[..., 2] > 0).float()  # hidden joints are learnt as visible ones are
    boxes = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
    labels = torch.ones(len(boxes), dtype=torch.long)
    return to_tensor(ds.frame(number).image), {
        "boxes": boxes,
        "labels": labels,
        "keypoints": points,
    }


model = keypointrcnn_resnet50_fpn(
    weights=args.weights,
    weights_backbone=None,
    num_keypoints=17,
    min_size=args.size,
    max_size=args.size,
    box_detections_per_img=20,  # of 100: the head of keypoints is what takes time
)
optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-4)
known = [number for number, entries in people.items() if entries]
for step in range(args.steps):
    images, targets = zip(
        *(sample(known[(2 * step + k) % len(known)]) for k in (0, 1)), strict=True
    )
    loss = sum(model(list(images), list(targets)).values())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
results, model = [], model.eval()
for frame in ds:
    with torch.inference_mode():
        (found,) = model([to_tensor(frame.image)])
    parts = (found["keypoints"][..., :2], found["keypoints_scores"].sigmoid(), found["scores"])
    for points, joints, score in zip(*(part.tolist() for part in parts), strict=True):
        keypoints = [v for p, s in zip(points, joints, strict=True) for v in (*p, s)]
        entry = {"image_id": frame.index, "category_id": 1, "keypoints": keypoints, "score": score}
        results.append(entry)
path = Path("exports/rcnn-results.json")
path.write_text(json.dumps(results))
print(headline(ss.evaluate(predictions=path, dataset=ds, out="exports/rcnn-judged")))
