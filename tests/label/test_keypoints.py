import cv2
import numpy as np
from stick_people import make_camera

from synthstudio.label.visibility import in_frame, place_joints


def test_pixels_are_those_of_opencv() -> None:
    camera = make_camera(yaw_rad=0.3, pitch_rad=-0.2, roll_rad=0.1)
    world = np.array([[0.1, 0.2, 1.4], [-0.5, 0.0, 0.3], [3.0, 1.0, 0.0]])
    places = place_joints(camera, world)
    m = camera.world_to_camera
    expected, _ = cv2.projectPoints(world, cv2.Rodrigues(m[:3, :3])[0], m[:3, 3], camera.K, None)
    assert np.abs(places.px - expected[:, 0]).max() < 1e-5
    assert np.allclose(camera.to_world(places.camera_m), world)


def test_before_the_near_plane_there_is_no_pixel() -> None:
    camera = make_camera(position_m=(0.0, 0.0, 0.0))
    places = place_joints(camera, np.array([[0.0, 0.049, 0.0], [0.0, 0.05, 0.0], [0, -1.0, 0]]))
    assert np.isnan(places.px[[0, 2]]).all()
    assert places.inside.tolist() == [False, True, False]


def test_the_frame_is_half_open() -> None:
    camera = make_camera(320, 240)
    px = np.array([[0, 0], [319.999, 239.999], [320, 10], [10, 240], [-1e-9, 5], [np.nan, 5]])
    assert in_frame(camera, px).tolist() == [True, True, False, False, False, False]


def test_a_mirror_of_pixels_is_exact() -> None:
    x = place_joints(make_camera(), np.array([[0.123456789, 0.1, 1.1]])).px[:, 0]
    assert (320 - (320 - x) == x).all()
