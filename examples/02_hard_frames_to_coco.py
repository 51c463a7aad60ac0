"""Hard frames into COCO: query a data set, export what was found, read it back.

    python examples/02_hard_frames_to_coco.py --query "left_wrist hidden by object"

Run 01_first_dataset.py first, or name a data set of your own.
"""

import argparse
import json
from pathlib import Path

import synthstudio as ss

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--dataset", type=Path, default=Path("exports/first"))
parser.add_argument("--query", default="occluded > 0.2", help="docs/query.md has the language")
parser.add_argument("--out", type=Path, default=Path("exports/hard-coco"), help="a new folder")
args = parser.parse_args()

ds = ss.Dataset(args.dataset)
hard = ds.query(args.query)  # a Dataset again: len, [i], slices, iteration, torch, export
print(f"{len(hard)} of {len(ds)} frames: {args.query}")

# `skeleton` converts the 23 joints with feet to COCO's 17.
exported = hard.export("coco", args.out, skeleton="coco17")
print(exported.text())

# What any COCO tool reads, a file for each split. Visibility fractions and causes are further keys
# of each annotation.
document = json.loads(exported.files[0].read_text(encoding="utf-8"))
first = document["annotations"][0]
print(f"keys of an annotation: {', '.join(first)}")
print(f"{first['num_keypoints']} labelled keypoints, box {first['bbox']}")

# There and back: an import of an export is a data set with the same frames.
back = ss.import_(args.out, args.out.with_name(f"{args.out.name}-imported"), format="coco")
print(f"read back: {len(back)} frames with {back.num_people} people")
