"""Predictions in the editor: seen under the labels, taken by joint, limb, person or page."""

import pytest
from editor_host import JOINTS, Alone, item, predicted
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
ARM = ["left_shoulder", "left_elbow", "left_wrist"]


@pytest.fixture
def editor(desktop):
    mine = predicted(lost=["right_ear"], causes={"nose": "object"})
    stranger = predicted(1000, dx=120.0, lost=JOINTS[5:]) | {"oks": None, "off": None}
    items = [item(0, prediction=mine, found=[stranger]), item(1)]
    return Alone(desktop).give(items=items, predictions="net")


@pytest.fixture
def panel(editor):
    return editor.page.get_by_role("group", name="Prediction", exact=True)


@pytest.fixture
def dots(editor):
    return editor.page.locator(".marks circle.prediction")


def last(editor):
    return editor.ops()[-1]


def test_a_prediction_is_seen_under_the_labels_and_can_be_hidden(editor, panel, dots):
    expect(dots).to_have_count(16 + 5)
    expect(panel).to_contain_text("net · OKS 0.91, 3.0 px off · 1 not labelled")
    zoom, tx = float(editor.reads("zoom")), float(editor.reads("tx"))
    nose = editor.page.locator("circle.prediction[data-joint=nose]").first
    assert float(nose.get_attribute("cx")) == pytest.approx(43 * zoom + tx, abs=0.1)
    editor.press("8")
    expect(dots).to_have_count(0)
    editor.page.get_by_role("button", name="View", exact=True).click()
    editor.page.get_by_role("button", name="Show the prediction").click()
    expect(dots).to_have_count(21)
    editor.press("n")
    expect(panel).to_contain_text("no prediction")
    expect(dots).to_have_count(0)


def test_joint_limb_and_person_are_taken_by_key_and_by_button(editor):
    def taken(key, name, joints):
        button = editor.page.get_by_role("button", name=f"Accept the prediction of the {name}")
        for take in (lambda: editor.press(key), button.click):
            editor.press("Escape")
            editor.page.locator(".joint-row[data-joint=left_elbow]").click()
            take()
            op = last(editor)
            assert list(op["joints"]) == joints
            assert op["joints"]["left_elbow"][2:] == [2, "visible", "predicted"]
            editor.press("z")
            assert last(editor)["kind"] == "revert"

    editor.press("Enter")
    expect(editor.page.locator(".flash")).to_contain_text("Select a joint first")
    editor.press("Tab", "Enter")
    assert last(editor)["joints"] == {"nose": [43, 50, 1, "object", "predicted"]}
    assert "as predicted" in editor.label("nose") and "edited" not in editor.label("nose")
    taken("Enter", "selected joint", ["left_elbow"])
    taken("Shift+Enter", "joint's limb", ARM)
    others = [name for name in JOINTS if name not in ("nose", "right_ear")]
    taken("Control+Enter", "person", others)  # the nose is there, an ear was not found
    editor.answer()
    assert "as predicted" in editor.label("nose"), "each is an edit of its own"
    editor.press("Escape", "Tab", "ArrowRight")
    assert last(editor)["joints"]["nose"] == [44, 50, 1, "object"]
    assert "edited" in editor.label("nose") and "predicted" not in editor.label("nose")


def test_somebody_predicted_is_added_once(editor):
    editor.press("Shift+I")
    op = last(editor)
    assert (op["kind"], op["instance"]) == ("add", 2)
    assert list(op["joints"]) == list(JOINTS[:5])
    assert op["joints"]["nose"] == [160, 50, 2, "visible", "predicted"]
    assert editor.reads("item") == "0:2"
    editor.press("Shift+I")
    expect(editor.page.locator(".flash")).to_contain_text("All predicted people here")
    assert len([o for o in editor.ops() if o["kind"] == "add"]) == 1


def test_without_predictions_nothing_is_offered(alone):
    expect(alone.page.locator(".predicted")).to_be_hidden()
    alone.press("Tab", "Enter")
    expect(alone.page.locator(".flash")).to_contain_text("No predictions are stored")
    assert alone.ops() == []


def test_a_prediction_is_called_wrong_by_key_and_by_button(editor, panel, dots):
    button = editor.page.get_by_role("button", name="Reject the prediction")
    for take in (lambda: editor.press("Shift+X"), button.click):
        take()
        assert (last(editor)["kind"], last(editor)["text"]) == ("reject_prediction", "net")
        expect(panel).to_contain_text("rejected")
        expect(dots).to_have_count(5)  # the one whom nobody labelled
        count = len(editor.ops())
        editor.press("Tab", "Enter", "Control+Enter", "Shift+X")
        assert len(editor.ops()) == count
        expect(editor.page.locator(".predicted .btn", has_text="Page")).to_contain_text("1")
        editor.press("z")
        assert last(editor)["kind"] == "revert"
        expect(dots).to_have_count(16 + 5)


def test_a_page_is_counted_taken_and_undone_by_one_key_each(desktop):
    """Six people of whom something is predicted, three whom the page leaves out, one more found."""
    touched = item(0)["state"] | {"revision": 1}
    edited = touched | {"joints": {"nose": [1.0, 2.0, 2, "visible", "human"]}}
    leased, net = {"lease": "Ben"}, predicted()
    states = [{}, {"state": touched | {"status": "approved"}}, {"state": edited}, leased, {}]
    states.append({"state": touched | {"status": "skipped"}})
    items = [item(0), *(item(k, prediction=net, **more) for k, more in enumerate(states, start=1))]
    items[1]["found"] = [predicted(1000, dx=120.0)]
    editor = Alone(desktop).give(items=items, predictions="net")
    button = desktop.locator(".predicted .btn", has_text="Page")
    flash = desktop.locator(".flash")
    expect(button).to_contain_text("Page: 4")
    editor.press("Shift+P")
    ops = editor.ops()
    taken = [(op["kind"], op["frame"], op["instance"], len(op["joints"])) for op in ops]
    assert taken == [("edit", 1, 1, 17), ("add", 1, 2, 17), ("edit", 5, 1, 17), ("edit", 6, 1, 17)]
    assert all(row[4] == "predicted" for op in ops for row in op["joints"].values())
    expect(flash).to_contain_text("4 people accepted as predicted, 1 of them")
    assert editor.reads("item") == "1:1", "undo begins at somebody of the page"
    expect(button).not_to_contain_text(":")
    editor.press("z")
    undone = editor.ops()[4:]
    assert [(op["kind"], op["frame"], op["instance"]) for op in undone] == [
        ("revert", frame, instance) for _, frame, instance, _ in taken
    ]
    assert [op["undoes"] for op in undone] == [[op["client"], op["seq"]] for op in ops]
    expect(flash).to_contain_text("predictions of 4 people")
    editor.press("Z")
    assert [op["kind"] for op in editor.ops()[8:]] == ["revert"] * 4
    editor.answer()
    assert "as predicted" in editor.label("nose")
    editor.press(*"nnnnn", "a", "Shift+P")
    expect(flash).to_contain_text("No predictions of unreviewed people")
    assert [op["kind"] for op in editor.ops()[12:]] == ["status"]
