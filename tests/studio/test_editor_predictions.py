"""Predictions in the editor: seen under the labels, taken by a joint, a limb or a person."""

import pytest
from editor_host import JOINTS, Alone, item, predicted
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
ARM = ["left_shoulder", "left_elbow", "left_wrist"]


@pytest.fixture
def editor(desktop):
    alone = Alone(desktop)
    mine = predicted(lost=["right_ear"], causes={"nose": "object"})
    stranger = predicted(1000, dx=120.0, lost=JOINTS[5:]) | {"oks": None, "off": None}
    alone.give(items=[item(0, prediction=mine, found=[stranger]), item(1)], predictions="net")
    return alone


def last(editor):
    return editor.ops()[-1]


def test_a_prediction_is_seen_under_the_labels_and_can_be_hidden(editor):
    dots = editor.page.locator(".marks circle.prediction")
    expect(dots).to_have_count(16 + 5)
    panel = editor.page.get_by_role("group", name="Prediction", exact=True)
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
    expect(panel).to_contain_text("nothing of this person")
    expect(dots).to_have_count(0)


def test_joint_limb_and_person_are_taken_by_key_and_by_button(editor):
    names = {"Joint": "Accept the prediction of the selected joint",
             "Limb": "Accept the prediction of the joint's limb",
             "Person": "Accept the prediction of the person"}  # fmt: skip
    buttons = {k: editor.page.get_by_role("button", name=v) for k, v in names.items()}
    editor.press("Enter")
    expect(editor.page.locator(".flash")).to_contain_text("Select a joint first")
    editor.press("Tab", "Enter")
    assert last(editor)["joints"] == {"nose": [43, 50, 1, "object", "predicted"]}
    assert "as predicted" in editor.label("nose") and "edited" not in editor.label("nose")
    editor.press("z")
    assert last(editor)["kind"] == "revert" and "predicted" not in editor.label("nose")
    buttons["Joint"].click()
    assert "as predicted" in editor.label("nose")
    for take in (lambda: editor.press("Shift+Enter"), buttons["Limb"].click):
        editor.press("Escape")
        editor.page.locator(".joint-row[data-joint=left_elbow]").click()
        take()
        op = last(editor)
        assert list(op["joints"]) == ARM and op["joints"]["left_wrist"][2:4] == [2, "visible"]
        editor.press("z")
    for take in (lambda: editor.press("Control+Enter"), buttons["Person"].click):
        take()
        assert len(last(editor)["joints"]) == 15, "the nose is there, an ear was not found"
        editor.press("z")
    assert "as predicted" in editor.label("nose"), "each is an edit of its own"
    editor.answer()
    assert "as predicted" in editor.label("nose")


def test_a_joint_that_is_moved_again_is_no_prediction_any_more(editor):
    editor.press("Tab", "Enter", "ArrowRight")
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
    expect(editor.page.locator(".flash")).to_contain_text("Everybody who is predicted")
    assert len([o for o in editor.ops() if o["kind"] == "add"]) == 1


def test_without_predictions_nothing_is_offered(desktop):
    editor = Alone(desktop)
    editor.give()
    expect(editor.page.locator(".predicted")).to_be_hidden()
    editor.press("Tab", "Enter")
    expect(editor.page.locator(".flash")).to_contain_text("No predictions are stored")
    assert editor.ops() == []


def test_a_prediction_is_called_wrong_by_key_and_by_button(editor):
    panel = editor.page.get_by_role("group", name="Prediction", exact=True)
    dots = editor.page.locator(".marks circle.prediction")
    for take in (
        lambda: editor.press("Shift+X"),
        lambda: editor.page.get_by_role("button", name="Reject the prediction").click(),
    ):
        take()
        assert (last(editor)["kind"], last(editor)["text"]) == ("distrust", "net")
        expect(panel).to_contain_text("called wrong")
        expect(dots).to_have_count(5)  # the one whom nobody labelled
        count = len(editor.ops())
        editor.press("Tab", "Enter", "Control+Enter", "Shift+X")
        assert len(editor.ops()) == count
        expect(editor.page.locator(".predicted .btn", has_text="Page")).to_contain_text("1")
        editor.press("z")
        assert last(editor)["kind"] == "revert"
        expect(dots).to_have_count(16 + 5)
