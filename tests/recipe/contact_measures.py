"""How people and their objects touch, measured on meshes alone."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from synthstudio.body import wardrobe
from synthstudio.core.scene import F64, PARTS
from synthstudio.core.spec import ObjectSpec, PersonSpec
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.schema.load import parse

REACH_M = 0.12
_WORN = ("t_shirt", "shorts", "low_shoes", "short_hair")


def stage_of(**people: object) -> FrameGenerator:
    """Open a stage for a recipe of single people."""
    # A new design of a garment takes long, and skin is measured bare.
    left_out = {g.kind: 0.0 for g in wardrobe.garments() if g.kind not in _WORN}
    clothes = {"kinds": left_out, "hat": 0.0}
    wanted = {"count": 1, "identities": 200, "wardrobe": clothes, **people}
    recipe = parse({"name": "contacts", "frames": 1000, "seed": 77, "people": wanted}, "test")
    return FrameGenerator(prepare(recipe, assets=Path(__file__).parent, device="cpu"))


def surface_points(stage: FrameGenerator, obj: ObjectSpec, step_m: float = 0.018) -> F64:
    """Return points on the object's surfaces, nowhere farther apart than about `step_m`."""
    out = []
    for surface in stage.object_surfaces(obj, instance=1002, first_texture=0)[0]:
        a, b, c = np.moveaxis(surface.vertices_m.astype(np.float64)[surface.faces], 1, 0)
        sides = [np.linalg.norm(p - q, axis=1) for p, q in ((a, b), (b, c), (c, a))]
        parts = np.ceil(np.max(sides, axis=0) / step_m).clip(1, 60).astype(int)
        for n in np.unique(parts):
            own = parts == n
            i, j = (k.ravel() for k in np.meshgrid(np.arange(n + 1), np.arange(n + 1)))
            u, v = (k[i + j <= n, None, None] / n for k in (i, j))
            out.append((a[own] + (b - a)[own] * u + (c - a)[own] * v).reshape(-1, 3))
    points = np.concatenate(out)
    cells = np.floor(points / (step_m / 3)).astype(np.int64) @ [1, 10**5, 10**10]
    return points[np.unique(cells, return_index=True)[1]]


@dataclass(frozen=True)
class Skin:
    """A person's bare skin."""

    stage: FrameGenerator
    person: PersonSpec

    @cached_property
    def mesh(self) -> trimesh.Trimesh:
        """Return the skin of the whole body."""
        atlas = self.stage.body.atlas  # type: ignore[attr-defined]
        faces = atlas.body_faces[atlas.skin_face]
        used = np.unique(faces)
        place = np.zeros(used.max() + 1, np.intp)
        place[used] = np.arange(len(used))
        points = self.stage.skin_m(self.person, PARTS)
        return trimesh.Trimesh(points, place[faces], process=False)

    def depth_m(self, points: F64) -> float:
        """Return how deep the deepest of the points lies under the skin; 0 if none does."""
        mesh = self.mesh
        distance, nearest = cKDTree(mesh.vertices).query(points, distance_upper_bound=REACH_M)
        near = np.isfinite(distance)
        out = mesh.vertices[nearest[near]] - points[near]
        below = (out * mesh.vertex_normals[nearest[near]]).sum(axis=1)
        # Of points beside an edge the nearest vertex tells nothing.
        below[below < 0.6 * np.linalg.norm(out, axis=1)] = 0.0
        return float(below.max(initial=0.0))

    def gap_m(self, points: F64, parts: tuple[str, ...]) -> float:
        """Return the least distance from the skin of body parts to the points."""
        skin = self.stage.skin_m(self.person, parts)
        return float(cKDTree(points).query(skin)[0].min())
