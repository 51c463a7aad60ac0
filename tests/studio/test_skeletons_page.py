"""Own skeletons in the studio: made on their page by mouse and by keys, reviewed like others."""

import json
from pathlib import Path

import numpy as np
import pytest
from own_skeleton_sets import JOINTS, horse_set
from playwright.sync_api import expect

from synthstudio.core.errors import StudioError
from synthstudio.core.own_skeletons import own_skeleton
from synthstudio.formats.skeleton_file import read_skeleton
from synthstudio.review.values import User
from synthstudio.studio import skeletons
from synthstudio.studio.editor.window import skeleton_json

_HOST = """
async (js) => {
  const root = document.body.appendChild(document.createElement("div"));
  const url = URL.createObjectURL(new Blob([js], { type: "text/javascript" }));
  const maker = (await import(url)).default;
  window.sent = [];
  window.give = (start, definition, message) => maker({
    data: { start, definition, opened: "", coco: {}, usual: 0.07, message }, parentElement: root,
    setStateValue: (name, value) => window.sent.push(value),
  });
  window.give("A new one", { name: "", joints: [] }, null);
}
"""


MAKER = Path(skeletons.__file__).parent / "maker" / "maker.js"


@pytest.mark.browser
def test_one_is_made_by_mouse_and_by_keys(page, tmp_path):
    page.add_style_tag(content=MAKER.with_suffix(".css").read_text("utf-8"))
    page.evaluate(_HOST, MAKER.read_text("utf-8"))
    figure = page.locator("svg.figure")

    def at(x, y):
        figure.scroll_into_view_if_needed()
        box = figure.bounding_box()
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    joints = figure.locator("g[data-joint]")
    for k, place in enumerate(((0.5, 0.2), (0.3, 0.6), (0.7, 0.6))):
        page.mouse.click(*at(*place))
        joints.nth(k).wait_for(state="attached")
    for k, name in enumerate(("wrist", "left tip", "right tip")):
        field = page.get_by_label(f"Name of joint {k + 1}")
        field.fill(name)
        field.press("Tab")
        page.locator(f'g[data-joint="{name}"]').wait_for(state="attached")
    page.get_by_role("button", name="Limbs").click()
    page.mouse.move(*at(0.5, 0.2))
    page.mouse.down()
    page.mouse.move(*at(0.3, 0.6))
    page.mouse.up()
    # the other limb, the pair and a place by keys alone
    page.locator('g[data-joint="wrist"]').press("Enter")
    page.locator('g[data-joint="right tip"]').press("Enter")
    page.get_by_role("button", name="Pairs").press("Enter")
    page.locator('g[data-joint="left tip"]').press("Enter")
    page.locator('g[data-joint="right tip"]').press("Enter")
    page.locator('g[data-joint="wrist"]').press("ArrowDown")
    page.get_by_label("Name", exact=True).fill("hand")
    page.get_by_label("Sigma of wrist").fill("0.05")
    page.get_by_label("Sigma of wrist").press("Tab")
    page.get_by_role("button", name="Save", exact=True).press("Enter")
    (sent,) = page.evaluate("window.sent")
    skeletons.take(tmp_path, sent, who=User(name="Lea", role="lead"), used=())
    made = read_skeleton(tmp_path / "skeletons" / "hand.yaml")
    assert made.joints == ("wrist", "left tip", "right tip")
    assert made.edges == ((0, 1), (0, 2)) and made.pairs == ((1, 2),)
    assert made.sigmas.tolist() == [0.05, 0.072, 0.072]
    assert json.loads(made.name)["figure"]["wrist"][1] == pytest.approx(0.21, abs=0.005)


@pytest.mark.browser
def test_saved_again_before_the_answer(page, tmp_path):
    """Each save replaces the one before, and no answer takes away what was drawn since."""
    page.evaluate(_HOST, MAKER.read_text("utf-8"))
    joints, last = page.locator("svg.figure g"), {}

    def draw_and_save():
        page.get_by_role("button", name="Add a joint").click()
        page.get_by_role("button", name="Save", exact=True).click()

    def answer(k):
        sent, lead = page.evaluate("window.sent")[k], User(name="Lea", role="lead")
        made, written = skeletons.take(tmp_path, sent, who=lead, used=(), last=last)
        assert written and len(made.joints) == k + 1
        last.clear()
        last[sent["n"]] = skeletons.digest(made)
        message = {"good": True, "n": sent["n"], "opened": last[sent["n"]], "text": "Saved"}
        page.evaluate(
            "([definition, message]) => window.give('mine', definition, message)",
            [skeletons.to_edit(made), message],
        )

    page.get_by_label("Name", exact=True).fill("mine")
    draw_and_save()
    draw_and_save()
    for k in range(2):
        answer(k)
        expect(joints).to_have_count(2)
    draw_and_save()
    last.clear()  # all were answered: the page knows by itself what it replaces
    answer(2)
    stale = page.evaluate("window.sent")[1] | {"definition": '{"name": "mine", "joints": ["a"]}'}
    with pytest.raises(StudioError, match="somebody saved it since"):
        skeletons.take(tmp_path, stale, who=User(name="Lea", role="lead"), used=(), last=last)


def test_a_set_of_it_is_on_every_page(open_pages, tmp_path):
    pages = open_pages(horse_set(tmp_path).folder)
    for name in ("home", "review", "gallery", "queue", "team", "skeletons"):
        assert "cannot be read" not in pages.words(pages.open(name)), name
    assert any(key.startswith("editor ") for key in pages.shown)
    (chosen,) = pages.ctx.sets.values()
    assert skeleton_json(chosen.skeleton)["joints"] == list(JOINTS)
    assert pages.cards("gallery_grid") == chosen.table.ids(np.arange(chosen.table.people))


def test_files_are_kept_apart(tmp_path):
    def made(name, *joints):
        return own_skeleton({"name": name, "joints": list(joints)})

    first, changed, last = made("a", "x"), made("a", "y"), made("a", "z")
    opened = skeletons.digest(first)
    assert skeletons.save(tmp_path, first, opened="", used=())
    assert not skeletons.save(tmp_path, first, opened="", used=())
    with pytest.raises(StudioError, match="another skeleton of this name"):
        skeletons.save(tmp_path, changed, opened="", used=())
    assert skeletons.save(tmp_path, changed, opened=opened, used=())
    for one, wrong, used, why in (
        (last, opened, [], "somebody saved it since"),
        (last, "a", [changed], "data sets use"),
        (made("coco17", "z"), "", [], "the package has"),
    ):
        with pytest.raises(StudioError, match=why):
            skeletons.save(tmp_path, one, opened=wrong, used=used)
    (tmp_path / "skeletons" / "bad.yaml").write_text("[", "utf-8")
    assert skeletons.stored(tmp_path).keys() == {"a"}
