"""YOLO-pose of Ultralytics (AGPL-3.0) trained on generated people, and evaluated.

    python examples/12_ultralytics.py --model yolo11n-pose.pt --epochs 20

Run 01_first_dataset.py first; `pip install ultralytics` in a separate environment works, too.
A .yaml starts from random weights, a .pt from published ones.
"""

import argparse
import json
from pathlib import Path

from ultralytics import YOLO

import synthstudio as ss
from synthstudio.api.evaluations import headline

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--model", default="yolo11n-pose.yaml")
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--size", type=int, default=320)
args = parser.parse_args()
ds = ss.Dataset("exports/first")
ds.export("yolo", "exports/first-yolo", skeleton="coco17")  # data.yaml is the whole config
run = Path("exports/yolo-run").resolve()
model = YOLO(args.model)
model.train(
    data=str(Path("exports/first-yolo/data.yaml").resolve()),
    epochs=args.epochs,
    imgsz=args.size,
    batch=4,
    device="cpu",
    workers=0,
    amp=False,
    plots=False,
    val=False,
    project=str(run.parent),
    name=run.name,
)
results = []
for frame in ds:
    (found,) = model.predict(frame.image[..., ::-1], imgsz=args.size, conf=0.01, verbose=False)
    people = zip(found.keypoints.data.tolist(), found.boxes.conf.tolist(), strict=True)
    for joints, score in people:
        points = [v for x, y, c in joints for v in (x - 0.5, y - 0.5, c)]  # COCO: pixel indices
        entry = {"image_id": frame.index, "category_id": 1, "keypoints": points, "score": score}
        results.append(entry)
Path("exports/yolo-results.json").write_text(json.dumps(results))
# synthstudio evaluate --predictions exports/yolo-results.json exports/first
judged = ss.evaluate(predictions="exports/yolo-results.json", dataset=ds, out="exports/yolo-judged")
print(headline(judged))
