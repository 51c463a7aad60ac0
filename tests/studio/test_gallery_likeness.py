"""People in the pose of somebody, and the map of poses, in a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import settled
from reviewing import address, eventually

from synthstudio.dataset.reader import Dataset
from synthstudio.review.risk.table import people_table
from synthstudio.studio.gallery.likeness import distances, normalised

pytestmark = pytest.mark.browser


def names(page: Any) -> list[tuple[int, int]]:
    ids = page.locator("a.card").evaluate_all("all => all.map(one => one.dataset.id)")
    return [(int(a), int(b)) for a, b in (one.split("/") for one in ids)]


def test_the_selected_persons_pose_comes_first(
    page: Any, studio: Any, open_as: Callable[..., Any], studio_set: Path
) -> None:
    table = people_table(Dataset(studio_set))
    poses = normalised(table.joints_px)
    open_as(page, studio, "gallery", name="Ada")
    page.get_by_text("Select", exact=True).click()
    page.locator(".pick input").first.wait_for()
    frame, instance = names(page)[5]
    page.locator(f"input[data-id='{frame}/{instance}']").check()
    page.get_by_role("button", name="Find people in this pose").click()
    page.get_by_text(f"First those in the pose of frame {frame}, person {instance}").wait_for()
    row = int(table.rows_of(np.array([frame]), np.array([instance]))[0])
    wanted = table.ids(np.argsort(distances(poses, row), kind="stable"))
    eventually(lambda: names(page), list(wanted))
    eventually(lambda: address(page).get("like"), f"{frame}-{instance}")
    page.get_by_role("button", name="Show all as before").click()
    eventually(lambda: names(page), table.ids(np.arange(table.people)))
    eventually(lambda: address(page).get("like"), None)


def test_a_part_of_the_map_is_shown_alone(
    page: Any, studio: Any, open_as: Callable[..., Any]
) -> None:
    open_as(page, studio, "gallery?q=variant = base", name="Ada")
    page.locator("a.card").first.wait_for()
    base = names(page)
    page.get_by_role("radio", name="Map").click()
    plot = page.locator(".js-plotly-plot .nsewdrag").first
    plot.wait_for()
    settled(page)
    page.locator(".js-plotly-plot .point").first.wait_for()
    points = page.locator(".js-plotly-plot .point")
    boxes = [point.bounding_box() for point in points.all()]
    assert len(boxes) == len(base)
    far = max(boxes, key=lambda box: box["x"])
    x, y = far["x"] + far["width"] / 2, far["y"] + far["height"] / 2
    page.mouse.move(x - 12, y - 12)
    page.mouse.down()
    for dx, dy in ((12, -12), (12, 12), (-12, 12), (-12, -12)):
        page.mouse.move(x + dx, y + dy, steps=4)
    page.mouse.up()
    page.get_by_text("chosen on the map").wait_for()
    page.locator("a.card").first.wait_for()
    inside = [b for b in boxes if abs(b["x"] - far["x"]) < 10 and abs(b["y"] - far["y"]) < 10]
    eventually(lambda: len(names(page)), len(inside))
    assert set(names(page)) < set(base)
    page.get_by_role("button", name="Show all as before").click()
    eventually(lambda: names(page), base)
