"""Your own occluders in a recipe: cut-out pictures and meshes.

    python examples/05_own_occluders.py --assets assets --frames 24

`assets` holds occluders/*.png with an alpha channel and meshes/*.glb (or OBJ, PLY, STL; metres).
Without it the script makes a disc and a post as stand-ins. The real height of a cut-out's object
is in occluders/manifest.json (docs/photos.md).
"""

import argparse
import json
from pathlib import Path

import trimesh
from PIL import Image, ImageDraw

import synthstudio as ss

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--assets", type=Path)
parser.add_argument("--frames", type=int, default=24)
parser.add_argument("--out", type=Path, default=Path("exports/own-occluders"), help="a new folder")
args = parser.parse_args()

assets = args.assets
if assets is None:
    assets = args.out.with_name(f"{args.out.name}-assets")
    for folder in ("occluders", "meshes"):
        (assets / folder).mkdir(parents=True, exist_ok=True)
    cutout = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
    ImageDraw.Draw(cutout).ellipse((4, 4, 155, 155), fill=(190, 90, 40, 255))
    cutout.save(assets / "occluders" / "disc.png")
    trimesh.creation.cylinder(radius=0.15, height=1.4).export(assets / "meshes" / "post.ply")
    # Licences and sources written beside the files go into the ledger of every data set.
    for folder, name, more in (
        ("occluders", "disc.png", {"height_m": 1.2}),
        ("meshes", "post.ply", {}),
    ):
        entry = {"file": name, "license": "CC0-1.0", "source": "drawn by this script", **more}
        (assets / folder / "manifest.json").write_text(json.dumps([entry]), encoding="utf-8")

recipe = ss.Recipe.load("scenes/quickstart.yaml").with_(
    name="own-occluders",
    frames=args.frames,
    objects=[{"kind": "mesh", "folder": "meshes", "count": 1, "placement": "in_front"}],
    cutouts={"folder": "occluders", "count": 1, "over_person": 1.0},
)
ds = ss.generate(recipe, args.out, assets=assets)

hidden = ds.query("occluded > 0.1")
print(f"{len(hidden)} of {len(ds)} frames have a person hidden by more than a tenth")
for asset in ds.identity.assets:
    print(f"{asset.name}: {asset.licence or 'no licence given'}")
picture = args.out.with_name(f"{args.out.name}-frame.png")
Image.fromarray((hidden if len(hidden) else ds)[0].drawn()).save(picture)
print(f"drawn labels: {picture}")
