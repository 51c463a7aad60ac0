"""A first data set: generate it, read a frame, check every label by a second method.

    python examples/01_first_dataset.py --frames 100 --workers 2

Run it from the repository's root. The other examples read what this one writes.
"""

import argparse
from pathlib import Path

from PIL import Image

import synthstudio as ss

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--frames", type=int, default=100)
parser.add_argument("--workers", type=int, default=1, help="processes")
parser.add_argument("--out", type=Path, default=Path("exports/first"), help="a new folder")
args = parser.parse_args()

recipe = ss.Recipe.load("scenes/quickstart.yaml").with_(frames=args.frames, seed=3)
ds = ss.generate(recipe, args.out, workers=args.workers)
print(f"{len(ds)} frames with {ds.num_people} people in {ds.path}")

frame = ds[0]
people = frame.people  # P people with J joints, as columns
print(f"frame {frame.index}: image {frame.image.shape}, joints {people.joints_px.shape}")
for person in range(len(people)):
    print(f"  person {person}: {people.occluded_fraction[person]:.0%} of the body is hidden")
    for joint, name in enumerate(people.joints):
        if people.state[person, joint] == 1:  # 2 visible, 1 hidden, 0 outside the picture
            share = people.visible_share[person, joint]
            print(f"    {name}: {share:.0%} visible, hidden by {people.cause[person, joint]}")

# `frame.show()` opens the drawn picture; in a notebook, `frame` alone does.
picture = args.out.with_name(f"{args.out.name}-frame.png")
Image.fromarray(frame.drawn()).save(picture)
print(f"drawn labels: {picture}")

# Rays decide every joint again, in code that shares nothing with the renderer.
print(ss.audit(ds, frames=min(8, len(ds))))
