"""The editor without a server: what each key does, what is kept, what is refused."""

import json

import pytest
from editor_host import JOINTS, SQUARE, Alone, draw, empty_frame, item, predicted
from playwright.sync_api import expect

from synthstudio.studio.editor.ops import MAX_OPS

pytestmark = pytest.mark.browser


def test_hidden_takes_the_cause_that_the_labels_know_best(desktop):
    editor = Alone(desktop)
    shares = [[0.4, 0.1, 0.3, 0.2, 0.0]] * 17
    editor.give(items=[item(0, shares=shares)])
    editor.press("Tab", "1")
    assert editor.ops()[-1]["joints"][JOINTS[0]][2:] == [1, "person"]


def test_arrows_move_the_chosen_joint_alone(alone):
    alone.press("Tab", "Tab")
    alone.page.evaluate("""() => {
      const stage = document.getElementById("host").shadowRoot.querySelector(".stage");
      const say = (key, more) => stage.dispatchEvent(
        new KeyboardEvent("keydown", {key, bubbles: true, composed: true, ...more}));
      say("ArrowRight", {});
      say("ArrowDown", {shiftKey: true});
      say("ArrowLeft", {altKey: true});
    }""")
    (op,) = alone.ops()  # quick presses make one edit
    assert op["joints"] == {JOINTS[1]: [50.0 + 0.9, 58.0 + 10, 2, "visible"]}


def test_swap_and_mirror(alone):
    alone.press("w")
    swapped = alone.ops()[-1]["joints"]
    base = dict(zip(JOINTS, alone.now["items"][0]["base"], strict=True))
    assert set(swapped) == set(JOINTS) - {"nose"}
    for name, row in swapped.items():
        twin = name.replace("left", "L").replace("right", "left").replace("L", "right")
        assert row == base[twin][:4]
    alone.press("z", "m")
    mirrored = alone.ops()[-1]["joints"]
    xs = [row[0] for row in base.values()]
    middle = max(xs) + min(xs)
    assert mirrored["nose"][0] == middle - base["nose"][0]
    alone.press("m")  # twice is as it was
    assert alone.ops()[-1]["joints"]["nose"][0] == base["nose"][0]
    alone.press("Tab", "Tab", "Shift+W")
    assert set(alone.ops()[-1]["joints"]) == {"left_eye", "right_eye"}


def test_undo_and_redo_are_reverts(alone):
    alone.press("Tab", "s", "o", "z", "z", "Z", "Z")
    ops = alone.ops()
    assert [op["kind"] for op in ops] == ["edit", "edit", *["revert"] * 4]
    client = ops[0]["client"]
    assert [op["undoes"] for op in ops[2:]] == [[client, 2], [client, 1], [client, 4], [client, 3]]
    assert "hidden by object" in alone.label(JOINTS[0])
    alone.answer()
    alone.press("z")
    assert alone.ops()[-1]["event"] == 106  # known by now: what redid the second edit
    alone.press("Tab", "Tab", "p")
    alone.press("Z")
    expect(alone.page.locator(".flash")).to_contain_text("Nothing to redo")


def test_revisions_and_what_builds_on_what(alone):
    alone.press("Tab", "s", "o", "p")
    ops = alone.ops()
    assert [op["revision"] for op in ops] == [0, 1, 2]
    assert [op.get("after") for op in ops] == [None, [ops[0]["client"], 1], [ops[0]["client"], 2]]
    alone.answer()
    alone.press("s")
    assert alone.ops()[-1]["revision"] == 3 and alone.ops()[-1].get("after") is None


def test_a_late_answer_does_not_skip_a_revision(alone):
    """The store may hold an edit whose answer got lost: the next one builds on the edit itself."""
    alone.press("Tab", "s")
    alone.ops()
    items = json.loads(json.dumps(alone.now["items"]))
    items[0]["state"] |= {"revision": 1, "joints": {JOINTS[0]: [40, 50, 1, "self", "human"]}}
    alone.give(items=items)
    alone.press("o")
    assert [op["revision"] for op in alone.ops()] == [0, 1]


def test_a_late_window_is_not_older_than_what_was_acknowledged(alone):
    """It was read before the edit was stored: the next edit would be over what is no more."""
    before = json.loads(json.dumps(alone.now["items"]))
    alone.press("Tab", "s")
    alone.answer()
    alone.give(items=before)
    assert "hidden by own body" in alone.label(JOINTS[0])
    alone.press("o")
    assert [op["revision"] for op in alone.ops()] == [0, 1]


def test_a_refused_edit_comes_back_with_its_reason(alone):
    alone.press("Tab", "s", "o")
    alone.answer(refuse=lambda op: "somebody changed this person meanwhile")
    panel = alone.page.locator(".refused")
    expect(panel).to_contain_text("2 edits were not taken")
    expect(panel).to_contain_text("somebody changed")
    assert alone.reads("pending") == "0" and alone.reads("refused") == "2"
    assert "hidden" not in alone.label(JOINTS[0])  # what is stored is shown
    count = len(alone.ops())
    alone.press("p", "a", "Delete", "z")
    assert len(alone.ops()) == count  # first decide
    alone.press("Alt+r")
    again = alone.ops()[count:]
    assert [op["joints"][JOINTS[0]][3] for op in again] == ["self", "object"]
    assert [op["revision"] for op in again] == [0, 1]
    alone.answer(refuse=lambda op: "again")
    alone.press("Alt+t")
    expect(panel).to_be_hidden()
    assert alone.reads("refused") == "0"
    assert alone.page.evaluate("localStorage.length") == 0


def test_edits_are_in_the_browser_before_they_are_sent(alone):
    kept = "Object.values(localStorage).map(v => JSON.parse(v).kind)"
    alone.press("Tab", "s", "o")
    assert alone.page.evaluate(kept) == ["edit", "edit"]
    alone.answer(wait="The database's disk is full.")
    assert alone.reads("saved") == "waiting"
    expect(alone.page.locator(".status")).to_contain_text("disk is full")
    assert alone.page.evaluate(kept) == ["edit", "edit"]
    alone.answer()  # to what it says again, after a while
    assert alone.reads("saved") == "saved"
    assert alone.page.evaluate(kept) == []


def test_a_full_browser_storage_is_said_and_the_edit_still_sent(alone):
    alone.page.evaluate(
        "void (Storage.prototype.setItem = () => {"
        " throw new DOMException('', 'QuotaExceededError') })"
    )
    alone.press("Tab", "s")
    alone.message()
    assert len(alone.ops()) == 1
    alone.answer(wait="Busy.")
    expect(alone.page.locator(".status")).to_contain_text("kept in this tab only")


def test_another_users_edits_are_left_alone(alone):
    alone.press("Tab", "s")
    alone.ops()
    other = Alone(alone.page, again=alone, user="Ben")
    other.give()
    assert other.reads("pending") == "0"
    other.press("Tab", "Tab", "o")
    assert [list(op["joints"]) for op in other.message()["ops"]] == [[JOINTS[1]]]
    mine = Alone(alone.page, again=alone)
    mine.give()
    assert len(mine.message()["ops"]) == 1


def test_keys_typed_before_the_picture_is_there_are_not_lost(desktop):
    editor = Alone(desktop)
    desktop.evaluate(
        "() => { const fetch_ = window.fetch, held = new Promise((go) => { window.letGo = go });"
        " window.fetch = (...a) => (a[0].startsWith('/api/') ? fetch_(...a)"
        " : held.then(() => fetch_(...a))) }"
    )
    editor.show()
    expect(editor.root).to_have_attribute("data-item", "0:1")
    editor.press("Tab", "s", "n", "Tab", "o")
    assert editor.reads("shown") == ""
    desktop.evaluate("() => window.letGo()")
    expect(editor.root).to_have_attribute("data-shown", "1:1")
    assert [(op["frame"], op["joints"][JOINTS[0]][3]) for op in editor.ops()] == [
        (0, "self"),
        (1, "object"),
    ]


def test_a_picture_that_cannot_be_loaded_blocks_edits(desktop, watch):
    watch.expected.append("404")
    editor = Alone(desktop)
    desktop.route("**/missing.jpg", lambda route: route.fulfill(status=404))
    editor.show(items=[item(0, image="/missing.jpg"), item(1)])
    desktop.locator(".overlay.on").filter(has_text="could not be loaded").wait_for()
    editor.press("Tab", "s")
    assert editor.ops() == []
    editor.press("n")
    assert editor.reads("item") == "1:1"


def test_next_makes_no_request_inside_the_window(desktop, watch):
    editor = Alone(desktop)
    queue = {"total": 40, "label": "", "empty": ""}
    editor.give(items=[item(k) for k in range(12)], queue=queue)
    before = len(watch.requests)
    editor.press("n", "n", "n", "b", "n")
    expect(editor.root).to_have_attribute("data-shown", "3:1")
    assert editor.views == editor.messages == []
    assert [url for url in watch.requests[before:] if not url.startswith(("data:", "blob:"))] == []
    editor.press("n", "n", "n", "n")
    editor.until(lambda: editor.views, "it asks for more people")
    assert editor.views[-1]["pos"] == 7  # near the end of the window


def test_names_and_comments_are_text_not_html(desktop):
    editor = Alone(desktop)
    bad = "<img src=x onerror='window.bad=1'><script>window.bad=1</script>"
    state = item(0)["state"] | {"reason": bad, "who": bad, "status": "flagged"}
    items = [item(0, facts=[bad], risk=[bad], occluder=[bad] * 17, lease=bad, state=state)]
    editor.give(
        items=items, history={"id": "0:1", "events": [{"who": bad, "when": bad, "what": bad}]}
    )
    editor.press("Tab")
    assert desktop.evaluate("window.bad") is None
    expect(editor.page.locator(".facts")).to_contain_text("<img")
    expect(desktop.locator(".ed img, .ed script")).to_have_count(0)


VIEWED = {
    "labels": (
        {},
        ["Tab", "s", "a", "Delete", "w", "ArrowRight", "i", "x"],
        ["Approve, or decide"],
    ),
    "nobody": ({"items": [empty_frame(0)]}, ["a", "Delete"], ["Approve, or decide"]),
    "predictions": (
        {"items": [item(0, prediction=predicted())], "predictions": "net"},
        ["Tab", "Enter", "Control+Enter", "Shift+I", "Shift+P", "Shift+X"],
        [
            "Accept the prediction of the person",
            "Add a predicted person",
            "Reject the prediction of this person",
        ],
    ),
    "strokes": (
        {},
        ["Shift+O", "draw", "Shift+L", "draw", "<", "o", "Control+a", "o"],
        ["Draw an occluder", "Draw the mask of the visible part"],
    ),
}


@pytest.mark.parametrize(("given", "keys", "buttons"), VIEWED.values(), ids=list(VIEWED))
def test_a_viewer_may_look_and_not_touch(desktop, given, keys, buttons):
    editor = Alone(desktop, can={"edit": False})
    editor.give(**given)
    for key in keys:
        draw(editor, *SQUARE) if key == "draw" else editor.press(key)
    assert editor.ops() == []
    for name in buttons:
        expect(desktop.get_by_role("button", name=name)).to_be_disabled()
    if "Tab" not in keys:
        return
    expect(desktop.locator(".flash")).to_contain_text("your role cannot edit")
    editor.press("n")
    assert editor.reads("item") == f"{min(1, len(editor.now['items']) - 1)}:1"


def test_no_keyboard_trap(alone):
    page = alone.page
    focus = "document.getElementById('host').shadowRoot.activeElement?.className ?? ''"
    assert page.evaluate(focus) == "stage"
    alone.press("Tab", "Tab", "Shift+Tab")
    assert page.evaluate(focus) == "stage" and alone.reads("joint") == JOINTS[0]
    alone.press("Escape")
    assert alone.reads("joint") == ""
    alone.press("Escape", "Tab")
    assert "btn" in page.evaluate(focus)
    seen = set()
    for _ in range(40):
        alone.press("Tab")
        seen.add(page.evaluate(focus))
    assert "" in seen  # out of the editor altogether


def test_add_and_delete(alone):
    alone.press("i")
    assert alone.reads("item") == "0:2" and alone.reads("joint") == "whole"
    (op,) = alone.ops()
    assert op["kind"] == "add" and op["instance"] == 2 and set(op["joints"]) == set(JOINTS)
    alone.press("ArrowRight", "a")
    kinds = [(op["kind"], op["instance"], op["revision"]) for op in alone.ops()]
    assert kinds == [("add", 2, 0), ("edit", 2, 1), ("status", 2, 2)]
    assert alone.reads("item") == "1:1"
    alone.press("Delete", "s", "Delete")
    assert [op["kind"] for op in alone.ops()[3:]] == ["delete", "restore"]


def test_a_page_with_pending_edits_warns(alone):
    page, asked = alone.page, []

    def accept(dialog):
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", accept)
    try:
        alone.press("Tab")
        page.reload()
        assert asked == []
        again = Alone(page, again=alone)
        again.give()
        again.press("Tab", "t")
        page.reload()
        assert asked == ["beforeunload"]
    finally:
        page.remove_listener("dialog", accept)


def test_more_edits_than_one_message_holds_are_sent_in_order(alone):
    alone.press("Tab")
    alone.page.evaluate("""() => {
      const stage = document.getElementById("host").shadowRoot.querySelector(".stage");
      for (let k = 0; k < 120; k += 1) {
        stage.dispatchEvent(new KeyboardEvent("keydown",
          { key: "so"[k % 2], bubbles: true, composed: true }));
      }
    }""")
    alone.answer()
    sent = [[op["seq"] for op in message["ops"]] for message in alone.messages]
    assert all(len(seqs) <= MAX_OPS for seqs in sent)
    assert [seq for seqs in sent for seq in seqs] == list(range(1, 121))


def test_nobody_edits_who_waits_for_a_blind_second_look(desktop):
    editor = Alone(desktop)
    editor.give(items=[item(0, blinded=True), item(1)])
    editor.press("Tab", "s", "a", "x", "z", "Delete")
    assert editor.ops() == []
    expect(desktop.locator(".flash")).to_contain_text("second review")
    expect(desktop.locator(".chip")).to_contain_text("second review")
    expect(desktop.get_by_role("button", name="Approve, or decide")).to_be_disabled()
    editor.press("n", "a")  # the control
    assert [op["status"] for op in editor.ops()] == ["approved"]


def test_who_looks_for_long_is_heard_of_so_that_leases_last(page):
    page.clock.install()
    editor = Alone(page)
    editor.give()
    page.clock.run_for(300_000)
    assert editor.views == []  # nobody is there: leases shall end
    editor.press("Tab")
    page.clock.run_for(2_000)
    editor.until(lambda: editor.views, "it asks for its people")
