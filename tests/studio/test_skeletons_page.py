"""Own skeletons in the studio: made on their page by mouse and by keys, reviewed like others."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from own_skeleton_sets import JOINTS, horse_set
from playwright.sync_api import expect
from review_ops import refused
from test_attack_cases import HOSTILE

from synthstudio.core.errors import StudioError, SynthStudioError
from synthstudio.core.skeleton import MAX_CHARS, MAX_JOINTS, own_skeleton
from synthstudio.formats.skeleton_file import read_skeleton
from synthstudio.review.values import ROLES, User
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


LEAD = User(name="Lea", role="lead")
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
    skeletons.take(tmp_path, sent, who=LEAD, used=())
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
        sent, lead = page.evaluate("window.sent")[k], LEAD
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
    with pytest.raises(StudioError, match="it was saved since"):
        skeletons.take(tmp_path, stale, who=LEAD, used=(), last=last)


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
    with pytest.raises(StudioError, match="another skeleton has this name"):
        skeletons.save(tmp_path, changed, opened="", used=())
    assert skeletons.save(tmp_path, changed, opened=opened, used=())
    for one, wrong, used, why in (
        (last, opened, [], "it was saved since"),
        (last, "a", [changed], "data sets use"),
        (made("coco17", "z"), "", [], "the package has"),
    ):
        with pytest.raises(StudioError, match=why):
            skeletons.save(tmp_path, one, opened=wrong, used=used)
    (tmp_path / "skeletons" / "bad.yaml").write_text("[", "utf-8")
    assert skeletons.stored(tmp_path).keys() == {"a"}


# ---- attacks: names, shapes, files, roles

NAMES = tuple(text for text in HOSTILE if text != "nose")
NAMES += ("a" * 10_000, "../../x", "..\\x", "/etc/x", "a/b", "a\0", "a\n", "\u202egnp.a", "a\u200b")
NAMES += ("\u0430", "=1+1", "@SUM(A1)", "-x", "<img src=x onerror=alert(1)>", ".hidden")
NAMES += ("__proto__", "[a](javascript:alert(1))")


WHOLE = {
    "name": "horse",
    "joints": ["nose", "left_eye", "right_eye"],
    "limbs": [["nose", "left_eye"], ["nose", "right_eye"]],
    "sigmas": {"nose": 0.05},
}


def test_names_and_what_is_large_or_deep(tmp_path):
    ring = [[f"j{k}", f"j{j}"] for k in range(40) for j in range(k)]
    definitions = [
        *({"joints": [*WHOLE["joints"], name]} for name in (*NAMES, "constructor", "nose")),
        *({"name": name} for name in (*NAMES, "a.yaml", "coco17", "coco133", "A")),
        {"places": {"nose": "x" * MAX_CHARS}},
        {"joints": [f"j{k}" for k in range(40)], "limbs": ring},
        {"joints": [f"j{k}" for k in range(MAX_JOINTS + 1)]},
    ]
    texts = [json.dumps(WHOLE | changed) for changed in definitions]
    texts += ["[" * (MAX_CHARS - 1), '{"name":' * 10_000, "\ud800"]
    texts += [json.dumps(WHOLE | {"sigmas": {"nose": 1}}).replace("1}", "1" + "0" * 5_000 + "}")]
    for text in texts:
        with pytest.raises(SynthStudioError):
            skeletons.take(tmp_path, {"definition": text, "opened": ""}, who=LEAD, used=())
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_files_that_somebody_else_put_there(tmp_path):
    """They are left out; the sound one is found, and nobody's file is replaced."""
    folder = tmp_path / skeletons.FOLDER
    assert skeletons.save(tmp_path, own_skeleton(WHOLE), opened="", used=())
    steps = itertools.pairwise("abcdefghijklmnopqrstuvwxyz")
    bombs = {
        "deep": "[" * 2_000,
        "aliases": "a: &a [x, x]\n" + "".join(f"{c}: &{c} [*{p}, *{p}]\n" for p, c in steps),
        "binary": "\0\1\2",
        "large": "x: " + "y" * 3_000_000,
        "python": "!!python/object/apply:os.system [echo]",
        "other": "name: another\njoints: [a]\n",
    }
    for name, text in bombs.items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / "folder.yaml").mkdir()
    (folder / "gone.yaml").symlink_to(tmp_path / "gone")
    assert skeletons.stored(tmp_path).keys() == {"horse"}
    for name in ("other", "folder", "deep"):
        sent = {"definition": json.dumps(WHOLE | {"name": name}), "opened": ""}
        with pytest.raises(SynthStudioError):
            skeletons.take(tmp_path, sent, who=LEAD, used=())
    assert (folder / "other.yaml").read_text() == bombs["other"]


def test_who_may_save(tmp_path):
    sent = {"definition": json.dumps(WHOLE), "opened": ""}
    for role in {*ROLES, "owner", ""} - {"lead", "admin"}:
        with refused("role"):
            skeletons.take(tmp_path, sent, who=User(name="Vic", role=role), used=())
    assert not [*tmp_path.iterdir()]
    assert skeletons.take(tmp_path, sent, who=LEAD, used=())[1]
