"""People in a room of your own: a mesh of a whole place as backdrop (docs/places.md).

    python examples/09_own_place.py --assets assets --frames 24

`assets` holds places/*.glb (or OBJ, PLY, STL; metres). Without it the script builds a room out
of boxes.
"""

import argparse
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image
from trimesh.visual.material import PBRMaterial

import synthstudio as ss

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--assets", type=Path)
parser.add_argument("--frames", type=int, default=24)
parser.add_argument("--out", type=Path, default=Path("exports/own-place"), help="a new folder")
args = parser.parse_args()


def box(size: list[float], foot: list[float], rgb: list[float]) -> trimesh.Trimesh:
    mesh = trimesh.creation.box(size)
    mesh.apply_translation([foot[0], foot[1], foot[2] + size[2] / 2])
    mesh.unmerge_vertices()  # edges stay sharp
    look = PBRMaterial(baseColorFactor=[*rgb, 1.0], metallicFactor=0.0)
    mesh.visual = trimesh.visual.TextureVisuals(material=look)
    return mesh


assets = args.assets
if assets is None:
    assets = args.out.with_name(f"{args.out.name}-assets")
    (assets / "places").mkdir(parents=True, exist_ok=True)
    wood, cream = [0.45, 0.3, 0.2], [0.7, 0.7, 0.62]
    walls = [([8, 0.1, 2.8], [0, y, 0], cream) for y in (-3, 3)]
    walls.append(([0.1, 6, 2.8], [4, 0, 0], cream))
    level = [([8, 6, 0.2], [0, 0, -0.2], wood), ([8, 6, 0.1], [0, 0, 2.8], cream)]
    counter = ([1.6, 0.7, 0.9], [1.5, 1.2, 0], wood)
    room = trimesh.Scene([box(*part) for part in (*walls, *level, counter)])
    room.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, [1, 0, 0]))
    room.export(assets / "places" / "room.glb")  # glTF has y up

recipe = ss.Recipe.load("scenes/quickstart.yaml").with_(
    name="own-place",
    frames=args.frames,
    camera={"distance_m": [1.8, 5], "height_m": [1.0, 2.0]},
    backdrop={"kind": "place", "folder": "places"},
    light={"occlusion": 0.8},
)
ds = ss.generate(recipe, args.out, assets=assets)
print(ss.audit(ds, assets=assets))
picture = args.out.with_name(f"{args.out.name}-frame.png")
Image.fromarray(ds[0].drawn()).save(picture)
print(f"drawn labels: {picture}")
