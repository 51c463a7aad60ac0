"""A lens that bends lines bends all that labels say with them: rays and OpenCV agree."""

import json

import cv2
import numpy as np
import pytest

import synthstudio as ss
from synthstudio.api.quality import validate
from synthstudio.core.camera import greatest_radius
from synthstudio.core.errors import RecipeError
from synthstudio.core.rng import stream
from synthstudio.core.scene import NO_PART
from synthstudio.generation import pipeline
from synthstudio.generation.audit import audit
from synthstudio.generation.stage import FrameGenerator, settings_of
from synthstudio.render.rays import nearest_blockers_by_rays
from synthstudio.review.risk.table import people_table

RECIPE = {
    "name": "bent",
    "seed": 5,
    "frames": 4,
    "image": {"width_px": 160, "height_px": 120, "supersample": 1},
    "people": {"count": [2, 3], "identities": 4},
    "camera": {"distance_m": [1.4, 3.0], "vertical_fov_deg": 44},
    "backdrop": {"kind": "room", "walls": 1.0},
    "objects": [{"kind": "procedural", "count": 1, "placement": "in_front"}],
    "layers": ["depth", "instance", "normals"],
}
NONE = np.zeros(3)


def _recipe(**changes):
    return {**RECIPE, "lens": {"distortion": {"k1": -0.3}}, **changes}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("bent") / "set"
    return ss.generate(_recipe(), out, device="cpu", progress=False)


def _stage(made):
    return FrameGenerator(settings_of(made._stored, device="cpu"))


def _spec(made, index):
    spec = made[index].spec
    assert spec is not None and spec.camera.distortion is not None
    return spec


def test_rays_through_the_bent_picture_agree(made):
    tally = audit(made.path, settings_of(made._stored, device="cpu"))
    assert tally.people >= 6 and tally.joints > 120
    assert (tally.state_differs, tally.cause_differs) == (0, 0)
    assert tally.largest_share_error < 0.03  # one of a patch's points; as without a lens


def test_opencv_puts_every_joint_where_the_labels_do_and_the_bent_edge_cuts(made):
    seen = outside = 0
    for frame in made:
        people = frame.people
        for px, camera_m, state in zip(
            people.joints_px, people.joints_camera_m, people.state, strict=True
        ):
            assert np.isfinite(px[camera_m[:, 2] > 0.05]).all()
            inside = state != 0
            assert (inside == ((px >= 0) & (px < [frame.width, frame.height])).all(axis=1)).all()
            theirs = cv2.projectPoints(camera_m, NONE, NONE, frame.K, frame.distortion)[0][:, 0]
            np.testing.assert_allclose(px[inside], theirs[inside], atol=1e-4)
            straight = (camera_m @ frame.K.T)[:, :2] / camera_m[:, 2:]
            assert np.abs(px - straight)[inside].max() > 0.2
            seen += int(inside.sum())
            outside += int((~inside).sum())
    assert seen > 100 and outside > 5


def _straightened(spec, px):
    """(N, 2) places on the normalised plane of pixels: OpenCV's projection read backwards."""
    assert spec.camera.distortion is not None
    K, k = spec.camera.K, np.array([*spec.camera.distortion, 0.0, 0.0])
    radius = np.linspace(0, 2, 40_001)
    along = np.stack([radius, 0 * radius, 0 * radius + 1], axis=1)
    bent = cv2.projectPoints(along, NONE, NONE, np.eye(3), k)[0][:, 0, 0]
    rises = np.append(np.diff(bent) > 0, False)
    last = len(bent) if rises[:-1].all() else int(np.argmin(rises))
    at = (px - K[:2, 2]) / K[0, 0]
    reach = np.linalg.norm(at, axis=1)
    assert reach.max() < bent[:last].max()
    return at * (np.interp(reach, bent[:last], radius[:last]) / np.maximum(reach, 1e-12))[:, None]


def test_pixels_show_what_their_rays_meet(made):
    stage, spec = _stage(made), _spec(made, 1)
    built = pipeline.build(stage, spec)
    ids = made[1].layer("instance").astype(np.int32)
    depth = made[1].layer("depth") / 1000
    y, x = np.mgrid[0 : spec.camera.height_px, 0 : spec.camera.width_px]
    px = np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5
    plane = _straightened(spec, px)
    far = np.concatenate([plane, np.ones((len(px), 1))], axis=1) * 60.0
    found = nearest_blockers_by_rays(
        built.scene,
        spec.camera.to_world(far),
        np.zeros(len(px), np.int32),
        np.full(len(px), NO_PART, np.uint8),
    )
    rays = found.instance.reshape(ids.shape)
    # A sample lies at most half a pixel off: away from outlines nothing may differ.
    box = np.ones((3, 3), np.uint8)
    flat = rays.astype(np.float32)
    inner = cv2.dilate(flat, box) == cv2.erode(flat, box)
    assert inner.mean() > 0.7 and len(np.unique(rays)) >= 4
    assert (ids != rays)[inner].sum() <= 2  # gaps between limbs that are smaller than a pixel
    near = inner & (rays > 0) & (depth > 0)
    error = np.abs(depth - found.depth_m.reshape(ids.shape))[near]
    assert np.median(error) < 0.01


def test_masks_boxes_and_shares_are_those_of_the_bent_picture(made):
    for frame in made:
        people = frame.people
        ids = frame.layer("instance")
        for p in range(len(people)):
            modal, amodal = people.masks[p], people.amodal_masks[p]
            assert (modal == (ids == p + 1)).all() and not (modal & ~amodal).any()
            x, y, w, h = people.amodal_boxes_px[p]
            rows, columns = np.nonzero(amodal)
            if len(rows):
                assert x <= columns.min() and columns.max() < x + w
                assert y <= rows.min() and rows.max() < y + h
            inside = x >= 0 and y >= 0 and x + w <= frame.width and y + h <= frame.height
            if people.truncated_fraction[p] == 0:
                assert inside
            if not inside:
                assert people.truncated_fraction[p] > 0


def test_what_folds_is_refused():
    bad = {**_recipe(), "camera": {"vertical_fov_deg": [40, 60]}}
    with pytest.raises(RecipeError, match=r"k1 -0.3 and k2 0 fold a picture of 60 degrees"):
        ss.Recipe.parse(bad)
    ss.Recipe.parse({**bad, "lens": {"distortion": {"k1": [-0.3, 0.2], "k2": 0.1}}})
    with pytest.raises(RecipeError, match="k1"):
        ss.Recipe.parse({**bad, "lens": {"distortion": {"k1": -1.5}}})


def test_exports_and_checks_know_it(made, tmp_path):
    assert "projection" not in validate(made.path).as_json()["kinds"]
    off = people_table(made._stored).arrays["off_px"]  # what reviewers would find off its place
    assert (~np.isnan(off)).sum() > 100 and np.nanmax(off) < 1e-3
    made.export("coco", tmp_path / "coco")
    data = _coco(tmp_path / "coco")
    image = data["images"][0]
    spec = _spec(made, image["id"])
    assert spec.camera.distortion is not None
    assert image["distortion"] == [*spec.camera.distortion, 0.0, 0.0]
    path = tmp_path / "some.json"
    path.write_text(json.dumps(data))
    assert "projection" not in validate(path, pictures=False).as_json()["kinds"]
    for other in data["images"]:
        del other["distortion"]
    path.write_text(json.dumps(data))
    assert "projection" in validate(path, pictures=False).as_json()["kinds"]


def _coco(folder):
    found = (json.loads(path.read_text()) for path in sorted(folder.rglob("*.json")))
    return next(data for data in found if data.get("images"))


def test_the_truncated_share_is_what_random_points_of_the_skin_say(made):
    stage, compared = _stage(made), 0
    rng = stream(1, "points")
    for frame in made:
        spec = _spec(made, frame.index)
        camera = spec.camera
        assert camera.distortion is not None
        k = np.array([*camera.distortion, 0.0, 0.0])
        for p, person in enumerate(pipeline.build(stage, spec).scene.people):
            drawn = [s for s in person.surfaces if s.drawn is None or s.drawn.any()]
            corners = np.concatenate(
                [
                    camera.to_camera(s.vertices_m)[s.faces if s.drawn is None else s.faces[s.drawn]]
                    for s in drawn
                ]
            )
            weights = rng.dirichlet([1.0] * 3, (8, len(corners)))
            points = np.einsum("sfk,fkx->sfx", weights, corners).reshape(-1, 3)
            normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            middle = corners.mean(axis=1)
            away = np.linalg.norm(middle, axis=1)
            facing = np.maximum(-(normal * middle).sum(axis=1) / away, 0.0)
            px = cv2.projectPoints(points, NONE, NONE, camera.K, k)[0][:, 0]
            radius = np.hypot(points[:, 0], points[:, 1]) / points[:, 2]
            shown = (points[:, 2] >= 0.05) & (radius < greatest_radius(camera.distortion))
            shown &= ((px >= 0) & (px < [frame.width, frame.height])).all(axis=1)
            share = 1 - float((facing * shown.reshape(8, -1)).sum() / facing.sum() / 8)
            assert frame.people.truncated_fraction[p] == pytest.approx(share, abs=3e-3)
            compared += 0.02 < share < 0.98
    assert compared >= 1
