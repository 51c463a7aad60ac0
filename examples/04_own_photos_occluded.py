"""Hide people in your own annotated photos; the labels follow.

    python examples/04_own_photos_occluded.py --annotations person_keypoints.json --images photos

Without these two, some frames of the data set of 01_first_dataset.py stand in for photos.
"""

import argparse
from pathlib import Path

import numpy as np

import synthstudio as ss

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--annotations", type=Path, help="a COCO keypoint file")
parser.add_argument("--images", type=Path, help="the folder of its photos")
parser.add_argument("--dataset", type=Path, default=Path("exports/first"), help="the stand-in")
parser.add_argument("--photos", type=int, default=10, help="frames that stand in")
parser.add_argument("--each", type=int, default=3, help="occluded frames of each photo")
parser.add_argument("--out", type=Path, default=Path("exports/own-photos"), help="a new folder")
args = parser.parse_args()

annotations, images = args.annotations, args.images
if annotations is None:
    stand_in = args.out.with_name(f"{args.out.name}-input")
    annotations = ss.Dataset(args.dataset)[: args.photos].export("coco", stand_in).files[0]
    split = annotations.stem.removeprefix("person_keypoints_")
    images = stand_in / "images" / split  # file names are relative to this folder

# By built-in 3D objects and rendered people. Example 05 shows your own cut-outs. `ground: any`
# hides people in every photo; without it only where the result looks plausible.
hiding = {"by": {"object": 1.0, "person": 0.5}, "ground": "any"}
recipe = ss.Recipe.load("scenes/occlude.yaml").with_(
    occlude=hiding, targets={"occluded_fraction": [0.1, 0.5]}
)
ds = ss.occlude(annotations, images, recipe, args.out, each=args.each)

# Frames of a photo form a group: first the original, then with occluders.
for photo in sorted({frame.row["group_id"] for frame in ds})[:3]:
    for frame in (f for f in ds if f.row["group_id"] == photo):
        hidden = int(np.sum(frame.people.state == 1))
        print(f"photo {photo}, {frame.row['variant']}: {hidden} joints hidden")

# The pastes are made again from each frame's description and compared pixel by pixel.
print(ss.audit(ds, frames=min(8, len(ds))))
