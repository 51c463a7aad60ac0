"""Small scenes of plain shapes for the tests of `render`."""

import numpy as np
import trimesh

from synthstudio.core.camera import Camera
from synthstudio.core.rng import stream
from synthstudio.core.scene import Light, Scene, Surface
from synthstudio.core.spec import Material
from synthstudio.render import raster


def camera(width=96, height=72, focal=80.0, **changes):
    """A camera at the origin that looks along world +y unless told otherwise."""
    given = {
        "width_px": width,
        "height_px": height,
        "focal_px": focal,
        "position_m": (0.0, 0.0, 0.0),
        "yaw_rad": 0.0,
        "pitch_rad": 0.0,
    }
    return Camera(**(given | changes))


def amodal_mask(packed, instance):
    """(H, W) where the instance would be visible if alone."""
    camera = packed.scene.camera
    return raster.alone(packed, instance).mask((camera.height_px, camera.width_px))


def surface(mesh, instance, **fields):
    vertices = np.asarray(mesh.vertices, np.float32)
    return Surface(
        **{
            "name": f"surface {instance}",
            "instance": instance,
            "vertices_m": vertices,
            "faces": np.asarray(mesh.faces, np.int32),
            "coords": vertices,
            "material": Material(),
        }
        | fields
    )


def scene(surfaces, view):
    return Scene(
        camera=view,
        people=(),
        objects=tuple(surfaces),
        light=Light(
            sun_direction=np.array([0.0, 0.0, 1.0]), sun_rgb=np.ones(3), ambient_sh=np.zeros((9, 3))
        ),
        backdrop=np.zeros((view.height_px, view.width_px, 3), np.uint8),
    )


def at_pixels(view, pixels, depth_m):
    """World points (n, 3) that `view` shows at continuous pixels (n, 2), z = depth_m."""
    pixels = np.asarray(pixels, np.float64)
    return view.to_world(view.unproject(pixels, np.broadcast_to(depth_m, pixels.shape[:-1])))


def plate(view, left, top, right, bottom, depth_m, cells=1):
    """A plate parallel to the image that covers those pixels, faces towards the camera."""
    x, y = np.linspace(left, right, cells + 1), np.linspace(top, bottom, cells + 1)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    k = np.arange(cells)
    corner = (k[:, None] * (cells + 1) + k[None, :]).ravel()
    a, b, c, d = corner, corner + 1, corner + cells + 2, corner + cells + 1
    faces = np.concatenate([np.stack([a, c, b], axis=1), np.stack([a, d, c], axis=1)])
    return trimesh.Trimesh(at_pixels(view, grid, depth_m), faces, process=False)


def person(instance, seed, x_m, y_m):
    """A body of capsules with arms across it, in a loose garment of part 3: surfaces."""
    random = stream(seed, "person", instance)

    def limb(radius, length, parts, place, tilt):
        mesh = trimesh.creation.capsule(height=length, radius=radius, count=[12, 12])
        mesh.apply_transform(trimesh.transformations.rotation_matrix(tilt, [0.3, 1, 0.2]))
        mesh.apply_translation(place)
        return mesh, np.full(len(mesh.faces), parts, np.uint8)

    pieces = [
        limb(0.16, 0.5, 3, (0, 0, 0.9), 0.0),
        limb(0.11, 0.1, 0, (0, 0, 1.62), 0.0),
        limb(0.05, 0.5, 5, (0.1, -0.24, 0.9), random.uniform(0.2, 1.5)),
        limb(0.05, 0.5, 6, (-0.1, -0.22, 1.1), random.uniform(-1.5, -0.2)),
        limb(0.08, 0.6, 11, (0.1, 0, 0.1), random.uniform(-0.3, 0.3)),
        limb(0.08, 0.6, 12, (-0.1, 0, 0.1), random.uniform(-0.3, 0.3)),
    ]
    body = trimesh.util.concatenate([mesh for mesh, _ in pieces])
    body.apply_translation([x_m, y_m, 0])
    part = np.concatenate([p for _, p in pieces])
    garment = trimesh.creation.capsule(height=0.5, radius=0.19, count=[14, 14])
    garment.apply_translation([x_m, y_m, 0.9])
    return [
        surface(body, instance, name="skin", part=part, drawn=part != 3),
        surface(
            garment,
            instance,
            name="shirt",
            two_sided=True,
            covers=np.full(len(garment.faces), 1 << 3, np.uint32),
        ),
    ]


def busy_scene(seed, width=96, height=72):
    """Two people, poles of 2-15 mm, boxes and a floor that runs under the camera."""
    random = stream(seed, "busy")
    view = camera(
        width,
        height,
        0.9 * width,
        position_m=(float(random.uniform(-0.5, 0.5)), -3.0, float(random.uniform(0.6, 1.6))),
        yaw_rad=float(random.uniform(-0.1, 0.1)),
        pitch_rad=float(random.uniform(-0.2, 0.05)),
        roll_rad=float(random.uniform(-0.1, 0.1)),
    )
    surfaces = person(1, seed, -0.3, 0.0) + person(2, seed, 0.25, random.uniform(-0.5, 0.5))
    for i in range(3):
        pole = trimesh.creation.cylinder(random.uniform(0.002, 0.015), 2.5, sections=6)
        pole.apply_transform(trimesh.transformations.random_rotation_matrix(random.uniform(size=3)))
        pole.apply_translation(random.uniform([-0.6, -1.5, 0.4], [0.6, -0.7, 1.4]))
        surfaces.append(surface(pole, 1002 + i))
    box = trimesh.creation.box(random.uniform(0.1, 0.5, 3))
    box.apply_translation(random.uniform([-0.6, -1.2, 0.2], [0.6, -0.6, 1.2]))
    surfaces.append(surface(box, 1005))
    floor = trimesh.Trimesh(
        [[-9, -9, 0], [9, -9, 0], [9, 9, 0], [-9, 9, 0]], [[0, 1, 2], [0, 2, 3]], process=False
    )
    surfaces.append(surface(floor, 1000, name="floor"))
    return scene(surfaces, view)


def skin_points(made, seed, count):
    """`count` random points on each person's skin: points (Q, 3), owner, part (Q,)."""
    points, owners, parts = [], [], []
    for s in made.surfaces:
        if s.part is None:
            continue
        random = stream(seed, "points", s.instance)
        corners = s.vertices_m[s.faces].astype(np.float64)
        areas = np.linalg.norm(
            np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
        )
        face = random.choice(len(areas), count, p=areas / areas.sum())
        weights = random.dirichlet([1, 1, 1], count)
        points.append((corners[face] * weights[..., None]).sum(axis=1))
        owners.append(np.full(count, s.instance, np.int32))
        parts.append(s.part[face])
    return np.concatenate(points), np.concatenate(owners), np.concatenate(parts)
