import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stick_people import make_camera, make_posed

from synthstudio.core.labels import VISIBILITY
from synthstudio.core.scene import CutoutLayer, JointPatches, PosedPerson
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.visibility import EMPTY_BASE
from synthstudio.label.visibility import (
    PatchQuery,
    alpha_at,
    decide_visibility,
    joint_pixels,
    patch_query,
)

W, H = 32, 24
ME = 2


def query(weights, *, px=None, depth=None, inside=True) -> PatchQuery:
    n = len(weights)
    return PatchQuery(
        points_m=np.zeros((1, n, 3)),
        px=np.array([[(10.5, 10.5)] * n] if px is None else [px], float),
        depth_m=np.array([[3.0] * n] if depth is None else [depth], float),
        weights=np.array([weights], float),
        inside=np.array([inside]),
    )


def cutout(instance, alpha, *, depth=0.0, left=0, top=0, size=(H, W)):
    return CutoutLayer(
        instance=instance, left_px=left, top_px=top, rgb=np.zeros((*size, 3), np.uint8),
        alpha=np.full(size, alpha, np.float32), depth_m=depth,
    )  # fmt: skip


def decide(q, blockers, *, depths=None, cutouts=()):
    """Decide with the given (joints, points) of blockers, of one joint without a dimension."""
    blockers = np.atleast_2d(np.asarray(blockers, np.int32))
    depths = np.ones(blockers.shape) if depths is None else np.atleast_2d(depths)
    return decide_visibility(
        q, instance=ME, blocker_instance=blockers, blocker_depth_m=depths.astype(np.float32),
        cutouts=tuple(cutouts), frame_px=(W, H),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("weights", "blockers", "fractions", "state", "cause"),
    [
        ([0.5, 0.5], [0, 0], [1, 0, 0, 0, 0], 2, "visible"),
        ([0.5, 0.5], [0, 1002], [0.5, 0, 0, 0.5, 0], 2, "visible"),  # the threshold is seen
        ([0.3, 0.1], [1002, 0], [0.25, 0, 0, 0.75, 0], 1, "object"),
        ([0.3, 0.1], [ME, 0], [0.25, 0.75, 0, 0, 0], 1, "self"),
        ([0.3, 0.1], [1, 0], [0.25, 0, 0.75, 0, 0], 1, "person"),
        ([0.1, 0.1, 0.1], [1, ME, 1002], [0, 1 / 3, 1 / 3, 1 / 3, 0], 1, "object"),
        ([0.2, 0.2], [ME, 1], [0, 0.5, 0.5, 0, 0], 1, "person"),
        ([0.1, 0.2, 0.3], [1, 0, ME], [1 / 3, 0.5, 1 / 6, 0, 0], 1, "self"),
    ],
)
def test_shares_by_hand(weights, blockers, fractions, state, cause):
    found = decide(query(weights), blockers)
    assert found.visibility_fractions[0] == pytest.approx(fractions)
    assert (found.state[0], found.cause[0]) == (state, cause)


@pytest.mark.parametrize(
    ("seen", "expected"), [(0.19, False), (0.2, True), (0.49, True), (0.5, False), (1.0, False)]
)
def test_ambiguous_is_from_a_fifth_to_a_half(seen, expected):
    found = decide(query([seen, 1 - seen]), [0, 1002])
    assert found.ambiguous[0] == expected


def test_a_patch_that_faces_away_is_hidden_by_its_own_person():
    found = decide(query([0.01, 0.009]), [0, 1002])
    assert found.visibility_fractions.tolist() == [[0, 1, 0, 0, 0]]
    assert (found.state[0], found.cause[0], found.occluder_id[0]) == (1, "self", ME)
    assert found.hidden_by == (((ME, 1.0),),)
    assert decide(query([0.01, 0.01]), [0, 0]).cause == ("visible",)  # 0.02 is enough


def test_the_part_outside_the_frame_is_left_out():
    """The frame's right border cuts a patch: what remains decides, `truncated` stays 0."""
    camera = make_camera(W, H, focal_px=20.0, position_m=(0.0, 0.0, 0.0))
    x = W / 2 / 20 * 2  # the border at 2 m
    points = np.array([[[x - 0.01, 2, 0], [x - 0.02, 2, 0], [x + 0.01, 2, 0], [x + 0.3, 2, 0]]])
    q = patch_query(camera, _posed(np.array([[x - 0.001, 2, 0]]), points, [0.1, 0.3, 0.3, 0.3]))
    assert (q.weights[0] > 0).tolist() == [True, True, False, False]
    found = decide(q, [1002, 0, 1002, 1002])
    # Both points in the frame face the camera alike, so only their areas count.
    assert found.visibility_fractions[0] == pytest.approx([0.75, 0, 0, 0.25, 0], abs=0.01)
    assert found.cause == ("visible",)


def test_weights_are_area_times_cosine_and_nothing_before_the_near_plane():
    camera = make_camera(W, H, focal_px=20.0, position_m=(0.0, 0.0, 0.0))
    points = np.array([[[0, 2, 0], [0, 2, 0], [0, 2, 0], [0, 0.04, 0]]], float)
    normals = np.array([[[0, -1, 0], [0, -0.5, 0.75**0.5], [0, 1, 0], [0, -1, 0]]], float)
    posed = _posed(np.array([[0.0, 2, 0]]), points, [0.1, 0.2, 0.3, 0.4], normals)
    q = patch_query(camera, posed)
    assert q.weights[0] == pytest.approx([0.1, 0.1, 0, 0])
    assert q.needed[0].tolist() == [True, True, False, False]
    # A camera that looks elsewhere, a joint that is outside: no point is asked for.
    assert not patch_query(make_camera(yaw_rad=3.0), posed).needed.any()


@pytest.mark.parametrize(
    ("depth", "blocker", "expected"),
    [
        (2.0, 1.0, {1: 1.0}),  # behind the blocker
        (0.5, 1.0, {1: 0.25, 1009: 0.75}),  # before it
        (2.0, None, {1009: 0.75}),  # before the point
        (3.5, None, {}),  # behind the point
        (0.0, 1.0, {1: 0.25, 1009: 0.75}),  # in front of everything
    ],
)
def test_front_to_back(depth, blocker, expected):
    found = decide(
        query([1.0]),
        [0 if blocker is None else 1],
        depths=[blocker or 0.0],
        cutouts=[cutout(1009, 0.75, depth=depth)],
    )
    assert dict(found.hidden_by[0]) == pytest.approx(expected)
    assert found.visibility_fractions[0, 0] == pytest.approx(1 - sum(expected.values()))


def test_cutouts_at_one_depth_lie_in_their_order():
    found = decide(query([1.0]), [0], cutouts=[cutout(1008, 0.5), cutout(1009, 0.5)])
    assert dict(found.hidden_by[0]) == {1009: 0.5, 1008: 0.25}


def test_the_occluder_is_the_largest_of_the_winning_cause():
    """One person hides more than either object, but the objects together hide most."""
    found = decide(query([0.4, 0.3, 0.3]), [1, 1003, 1002])
    assert found.cause == ("object",)
    assert found.occluder_id[0] == 1002  # equal shares: the lower id
    assert [i for i, _ in found.hidden_by[0]] == [1, 1002, 1003]


def test_alpha_is_bilinear_between_pixel_centres():
    layer = CutoutLayer(
        instance=1009, left_px=4, top_px=6, rgb=np.zeros((2, 2, 3), np.uint8),
        alpha=np.array([[1.0, 0.0], [0.5, 0.0]], np.float32), depth_m=0.0,
    )  # fmt: skip
    px = np.array([[4.5, 6.5], [5.0, 6.5], [4.5, 7.0], [5.0, 7.0], [4.0, 6.5], [3.5, 6.5],
                   [3.4, 6.5], [-99, 6.5], [np.nan, np.nan]])  # fmt: skip
    found = alpha_at(layer, px, frame_px=(W, H))
    assert found.tolist() == [1.0, 0.5, 0.75, 0.375, 0.5, 0.0, 0.0, 0.0, 0.0]


def test_alpha_goes_on_where_the_frame_clipped_the_layer():
    whole = cutout(1009, 0.8)
    corners = np.array([[0.0, 0.0], [W - 1e-9, H - 1e-9], [W / 2, 0.0], [0.0, H / 2]])
    assert alpha_at(whole, corners, frame_px=(W, H)) == pytest.approx(0.8)
    inner = cutout(1009, 0.8, left=1, top=1, size=(H - 2, W - 2))
    assert alpha_at(inner, corners, frame_px=(W, H)) == pytest.approx(0)


def _posed(joints, points, weights, normals=None):
    patches = JointPatches(
        points_m=points.astype(float),
        normals=np.broadcast_to([0.0, -1.0, 0.0], points.shape) if normals is None else normals,
        weights=np.array([weights]),
        part=np.zeros(points.shape[:2], np.uint8),
    )
    return PosedPerson(
        instance=ME, surfaces=(), joints_m=joints, kinematic_joints_m=joints, stature_m=1.7,
        patches=patches,
    )  # fmt: skip


def slow_shares(q, blockers, depths, layers):
    """Decide each joint point by point, in plain Python."""
    out = []
    for j in range(len(q.inside)):
        total = sum(q.weights[j])
        if not q.inside[j]:
            out.append([0, 0, 0, 0, 1])
            continue
        if total < EMPTY_BASE:
            out.append([0, 1, 0, 0, 0])
            continue
        row = [0.0] * 5
        for n, weight in enumerate(q.weights[j]):
            before = [(c.depth_m, float(c.alpha[0, 0]), c.instance) for c in layers]
            before = [b for b in before if b[0] <= q.depth_m[j, n]]
            if blockers[j, n]:
                before.append((depths[j, n], 1.0, blockers[j, n]))
            left = weight / total
            for _, alpha, who in sorted(before):
                name = "self" if who == ME else "object" if who >= 1000 else "person"
                row[VISIBILITY.index(name)] += left * alpha
                left -= left * alpha
            row[0] += left
        out.append(row)
    return out


def half_steps(low, high):
    """Depths midway between the steps on which the layers stand: never a tie but for rounding."""
    return st.integers(low, high).map(lambda n: n / 10 + 0.05)


@st.composite
def evidence(draw):
    joints, points = draw(st.integers(1, 3)), draw(st.integers(1, 5))

    def grid(each):
        return np.array([[draw(each) for _ in range(points)] for _ in range(joints)])

    q = PatchQuery(
        points_m=np.zeros((joints, points, 3)),
        px=np.full((joints, points, 2), 10.5),
        depth_m=grid(half_steps(20, 39)),
        weights=grid(st.one_of(st.just(0.0), st.floats(0.001, 1.0))),
        inside=np.array([draw(st.booleans()) for _ in range(joints)]),
    )
    blockers = grid(st.sampled_from([0, 0, 1, ME, 3, 1000, 1002])).astype(np.int32)
    depths = grid(half_steps(5, 18)).astype(np.float32)
    layers = []
    for k in range(draw(st.integers(0, 3))):
        depth = 0.3 * draw(st.integers(0, 12)) + 0.001 * k
        layers.append(cutout(1100 + k, draw(st.floats(0.0, 1.0)), depth=depth))
    return q, blockers, depths, layers


@settings(max_examples=100, deadline=None)
@given(evidence())
def test_laws_and_the_slow_reference(case):
    q, blockers, depths, layers = case
    found = decide(q, blockers, depths=depths, cutouts=layers)
    slow = np.array(slow_shares(q, blockers, depths, layers))
    assert found.visibility_fractions == pytest.approx(slow, abs=1e-9)
    assert found.visibility_fractions.sum(axis=1) == pytest.approx(1, abs=1e-9)
    assert (found.visibility_fractions >= 0).all()
    for j, (row, cause) in enumerate(zip(found.visibility_fractions, found.cause, strict=True)):
        assert (found.state[j] == 2) == (cause == "visible") == (row[0] >= 0.5)
        assert (found.state[j] == 0) == (cause == "truncated") == (not q.inside[j])
        if found.state[j] == 1:
            assert row[VISIBILITY.index(cause)] >= max(row[1:]) - 1e-9
        by = found.hidden_by[j]
        assert [s for _, s in by] == sorted((s for _, s in by), reverse=True)
        assert sum(s for _, s in by) == pytest.approx(row[1:4].sum(), abs=1e-9)
        assert (found.occluder_id[j] == 0) == (cause in ("visible", "truncated"))
        if found.occluder_id[j]:
            assert found.occluder_id[j] in dict(by)


def test_a_whole_person_asks_for_the_points_that_face_the_camera():
    posed = make_posed(get_skeleton("coco17"), instance=1)
    q = patch_query(make_camera(), posed)
    assert q.inside.all()
    assert 0.3 < q.needed.mean() < 0.6
    assert q.weights.sum(axis=1) == pytest.approx(0.25, abs=0.03)  # the mean of max(0, cos)


def test_the_frame_is_half_open():
    camera = make_camera(320, 240)
    px = np.array([[0, 0], [319.999, 239.999], [320, 10], [10, 240], [-1e-9, 5], [np.nan, 5]])
    assert camera.shows(px).tolist() == [True, True, False, False, False, False]


def test_a_mirror_of_pixels_is_exact():
    camera = make_camera()
    x = joint_pixels(camera, camera.to_camera([[0.123456789, 0.1, 1.1]]))[:, 0]
    assert (320 - (320 - x) == x).all()
