"""Places for tests: a room with a slab, walls, a ceiling and a table, y up as in glTF."""

import numpy as np
import trimesh
from trimesh.visual.material import PBRMaterial

WIDE_M, DEEP_M, HIGH_M = 8.0, 6.0, 2.8
TABLE_M = (1.5, 1.2, 1.6, 0.8, 0.75)
"""x, y, width, depth and height of the table."""


def _box(size, foot, rgb):
    mesh = trimesh.creation.box(size)
    mesh.apply_translation(np.array(foot) + np.array([0, 0, size[2] / 2]))
    material = PBRMaterial(baseColorFactor=[*rgb, 1.0], roughnessFactor=0.8, metallicFactor=0.0)
    mesh.visual = trimesh.visual.TextureVisuals(material=material)
    mesh.unmerge_vertices()  # edges stay sharp
    return mesh


def room(scale=1.0):
    """A room whose fourth wall has a wide opening; `scale` is another unit's."""
    wood, cream, blue = (0.45, 0.3, 0.2), (0.7, 0.7, 0.62), (0.55, 0.65, 0.7)
    x, y, wide, deep, high = TABLE_M
    legs = [
        _box(
            (0.06, 0.06, high - 0.05),
            (x + a * (wide / 2 - 0.05), y + b * (deep / 2 - 0.05), 0),
            wood,
        )
        for a in (-1, 1)
        for b in (-1, 1)
    ]
    parts = [
        _box((WIDE_M, DEEP_M, 0.2), (0, 0, -0.2), wood),
        _box((WIDE_M, DEEP_M, 0.1), (0, 0, HIGH_M), cream),
        _box((WIDE_M, 0.1, HIGH_M), (0, DEEP_M / 2, 0), cream),
        _box((WIDE_M, 0.1, HIGH_M), (0, -DEEP_M / 2, 0), blue),
        _box((0.1, DEEP_M, HIGH_M), (WIDE_M / 2, 0, 0), cream),
        _box((0.1, 2.2, HIGH_M), (-WIDE_M / 2, 1.9, 0), blue),
        _box((0.1, 2.2, HIGH_M), (-WIDE_M / 2, -1.9, 0), blue),
        _box((wide, deep, 0.05), (x, y, high - 0.05), wood),
        *legs,
    ]
    scene = trimesh.Scene()
    for number, part in enumerate(parts):
        scene.add_geometry(part, node_name=f"node {number}", geom_name=f"part {number}")
    scene.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, [1, 0, 0]))
    return scene.scaled(scale)


def saved_place(made, path):
    made.export(path)
    return path
