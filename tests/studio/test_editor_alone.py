"""The editor without a server: what each key does, what is kept, what is refused."""

import json
import re

import pytest
from editor_host import JOINTS, SQUARE, Alone, draw, empty_frame, item, predicted
from playwright.sync_api import expect

from synthstudio.studio.editor.ops import MAX_OPS

pytestmark = pytest.mark.browser
rare = pytest.mark.nightly("a rare way; a quick test of this file has the common one")


def test_hidden_takes_the_cause_that_the_labels_know_best(desktop):
    editor = Alone(desktop).give(
        items=[item(0, visibility_fractions=[[0.4, 0.1, 0.3, 0.2, 0.0]] * 17)]
    )
    editor.press("Tab", "1")
    assert editor.ops()[-1]["joints"][JOINTS[0]][2:] == [1, "person"]


def quickly(editor, *keys):
    editor.root.locator(".stage").evaluate(
        "(stage, keys) => keys.forEach((key) => stage.dispatchEvent("
        "new KeyboardEvent('keydown', { bubbles: true, composed: true, ...key })))",
        keys,
    )


def test_arrows_move_the_chosen_joint_alone(alone):
    alone.press("Tab", "Tab")
    quickly(alone, {"key": "ArrowRight"}, {"key": "ArrowDown", "shiftKey": True},
            {"key": "ArrowLeft", "altKey": True})  # fmt: skip
    (op,) = alone.ops()  # quick presses make one edit
    assert op["joints"] == {JOINTS[1]: [50.0 + 0.9, 58.0 + 10, 2, "visible"]}


def test_a_held_key_decides_once(alone):
    quickly(alone, *({"key": "a", "repeat": k > 0} for k in range(4)))
    (op,) = alone.ops()
    assert op["status"] == "approved"


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


@pytest.mark.parametrize("lost", [True, False])
def test_a_late_answer_skips_no_revision_and_a_late_window_hides_none(alone, lost):
    """The store may hold an edit whose answer got lost: the next one builds on the edit itself.
    A window that was read before the edit was stored is older than what was acknowledged."""
    items = json.loads(json.dumps(alone.now["items"]))
    alone.press("Tab", "s")
    if lost:
        alone.ops()
        items[0]["state"] |= {"revision": 1, "joints": {JOINTS[0]: [40, 50, 1, "self", "human"]}}
    else:
        alone.answer()
    alone.give(items=items)
    assert "hidden by own body" in alone.label(JOINTS[0])
    alone.press("o")
    assert [op["revision"] for op in alone.ops()] == [0, 1]


def test_a_saved_edit_stays_while_the_server_cannot_read_people(alone, watch):
    """A key pressed then meets the saved label, not the one of before."""
    watch.expected += ["503"]
    alone.blind = True
    alone.press("Tab", "s")
    alone.answer()
    assert "hidden by own body" in alone.label(JOINTS[0])
    alone.press("s", "2", "o")
    assert [op["joints"][JOINTS[0]][3] for op in alone.ops()] == ["self", "visible", "object"]
    assert [op["revision"] for op in alone.ops()] == [0, 1, 2]
    alone.answer()
    alone.blind = False
    alone.give()
    assert "hidden by object" in alone.label(JOINTS[0])


def test_an_answer_that_breaks_off_is_no_answer(alone):
    alone.press("Tab", "s")
    alone.message()
    alone._waiting.pop().fulfill(content_type="application/json", body='{"done": [')
    alone.until(lambda: alone._waiting, "the edit is sent again")
    alone.answer()
    assert "hidden by own body" in alone.label(JOINTS[0]) and alone.reads("pending") == "0"


def test_a_refused_edit_comes_back_with_its_reason(alone):
    alone.press("Tab", "s", "o")
    alone.answer(refuse=lambda op: "this person was changed in the meantime")
    panel = alone.page.locator(".refused")
    expect(panel).to_contain_text("2 edits were refused")
    expect(panel).to_contain_text("was changed")
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
    other = Alone(alone.page, again=alone, user="Ben").give()
    assert other.reads("pending") == "0"
    other.press("Tab", "Tab", "o")
    assert [list(op["joints"]) for op in other.message()["ops"]] == [[JOINTS[1]]]
    mine = Alone(alone.page, again=alone).give()
    assert len(mine.message()["ops"]) == 1


HOLD = """() => {
  const fetch_ = window.fetch;
  const held = new Promise((go) => { window.letGo = go });
  window.fetch = (...a) => {
    return a[0].startsWith('/api/') ? fetch_(...a) : held.then(() => fetch_(...a));
  };
}"""


@pytest.fixture
def waiting(desktop):
    """An editor whose first picture does not come before `window.letGo()`."""
    editor = Alone(desktop)
    desktop.evaluate(HOLD)
    return editor


def begin(editor, **more):
    editor.show(**more)
    expect(editor.root).to_have_attribute("data-item", re.compile(".+"))


def shown(editor, name):
    expect(editor.root).to_have_attribute("data-shown", name)


def test_keys_typed_before_the_picture_is_there_are_not_lost(waiting):
    begin(waiting)
    waiting.press("Tab", "s", "n", "Tab", "o")
    assert waiting.reads("shown") == ""
    waiting.page.evaluate("window.letGo()")
    shown(waiting, "1:1")
    done = [(op["frame"], op["joints"][JOINTS[0]][3]) for op in waiting.ops()]
    assert done == [(0, "self"), (1, "object")]


@pytest.mark.parametrize("how", ["gone", pytest.param("damaged", marks=rare)])
def test_a_picture_that_cannot_be_loaded_blocks_edits(waiting, watch, how):
    """Keys that waited for it are not done; none of them waits for later."""
    page = waiting.page
    watch.expected.append("404")
    gone = {"status": 404} if how == "gone" else {"status": 200, "body": b"\xff\xd8\xff no picture"}
    page.route("**/broken.jpg*", lambda route: route.fulfill(**gone))
    begin(waiting, items=[item(0, image="/broken.jpg"), item(1), item(2)])
    waiting.press("Tab", "s", "a")
    page.evaluate("window.letGo()")
    page.locator(".overlay:not(:empty)").filter(has_text="could not be loaded").wait_for()
    expect(page.locator(".flash")).to_contain_text("earlier key presses were ignored")
    waiting.press("Tab", "s", "n")
    shown(waiting, "1:1")
    assert waiting.ops() == []
    waiting.press("b", "Tab", "n", "Tab", "o")
    shown(waiting, "1:1")
    assert [op["joints"] for op in waiting.ops()] == [{JOINTS[0]: [40, 50, 1, "object"]}]


def test_next_makes_no_request_inside_the_window(desktop, watch):
    editor = Alone(desktop)
    queue = {"total": 40, "label": "", "empty": ""}
    editor.give(items=[item(k) for k in range(12)], queue=queue)
    before = len(watch.requests)
    editor.press("n", "n", "n", "b", "n")
    expect(editor.root).to_have_attribute("data-shown", "3:1")
    assert editor.views == editor.messages == []
    assert [url for url in watch.requests[before:] if not url.startswith(("data:", "blob:"))] == []
    editor.press(*"nnnn")
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


APPROVE = "Approve, or mark as empty"
CLOSED = {
    "labels": (
        {"can": {"edit": False}},
        ["Tab", "s", "a", "Delete", "w", "ArrowRight", "i", "x"],
        [APPROVE],
    ),
    "nobody": ({"can": {"edit": False}, "items": [empty_frame(0)]}, ["a", "Delete"], [APPROVE]),
    "predictions": (
        {"can": {"edit": False}, "predictions": "net", "items": [item(0, prediction=predicted())]},
        ["Tab", "Enter", "Control+Enter", "Shift+I", "Shift+P", "Shift+X"],
        ["Accept the prediction of the person", "Add a predicted", "Reject the prediction of this"],
    ),
    "strokes": (
        {"can": {"edit": False}},
        ["Shift+O", "draw", "Shift+L", "draw", "<", "o", "Control+a", "o"],
        ["Draw an occluder", "Draw the mask of the visible part"],
    ),
    "blinded": (
        {"items": [item(0, blinded=True), item(1)]},
        ["Tab", "s", "a", "x", "z", "Delete"],
        [APPROVE],
    ),
}


@pytest.mark.parametrize("case", CLOSED)
def test_who_may_only_look_changes_nothing(desktop, case):
    """A viewer, or a reviewer whose second review of the person is blind."""
    given, keys, buttons = CLOSED[case]
    why = "second review" if case == "blinded" else "your role cannot edit"
    editor = Alone(desktop).give(**given)
    for key in keys:
        draw(editor, *SQUARE) if key == "draw" else editor.press(key)
    assert editor.ops() == []
    expect(desktop.locator(".closed")).to_contain_text(why)
    for name in buttons:
        expect(desktop.get_by_role("button", name=name)).to_be_disabled()
    if case != "nobody":
        expect(desktop.locator(".flash")).to_contain_text(why)
    editor.press("n", "a")
    decided = [op["frame"] for op in editor.ops()]
    assert decided == ([1] if case == "blinded" else []), "the control"


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
    alone.press("Tab")
    page.reload()  # a dialog would be dismissed here, and the page stay
    again = Alone(page, again=alone).give()
    again.press("Tab", "t")
    page.once("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.reload()
    assert asked == ["beforeunload"]


def test_more_edits_than_one_message_holds_are_sent_in_order(alone):
    alone.press("Tab")
    quickly(alone, *({"key": key} for key in "so" * 60))
    alone.answer()
    sent = [[op["seq"] for op in message["ops"]] for message in alone.messages]
    assert all(len(seqs) <= MAX_OPS for seqs in sent)
    assert [seq for seqs in sent for seq in seqs] == list(range(1, 121))


def test_who_looks_for_long_is_heard_of_so_that_leases_last(page):
    page.clock.install()
    editor = Alone(page).give()
    page.clock.run_for(300_000)
    assert editor.views == []  # nobody is there: leases shall end
    editor.press("Tab")
    page.clock.run_for(2_000)
    editor.until(lambda: editor.views, "it asks for its people")
