"""The gallery: what it shows is what table and store hold, and what is done to many people."""

import numpy as np
import pytest
from reviewing import people_of

from synthstudio.dataset.matching import matching_people, query_of
from synthstudio.review import history
from synthstudio.review.check import base_of
from synthstudio.review.team import members
from synthstudio.review.values import User

ADMIN = User(name="Ada", role="admin")


@pytest.fixture
def gallery(pages):
    (pages.chosen,) = pages.ctx.sets.values()

    def opened(query="", *, user="Ada", **more):
        app = pages.open("gallery", user=user, **({"q": query} if query else {}), **more)
        app.cards = lambda: pages.cards("gallery_grid")
        app.found = lambda: int(next(m.value for m in app.markdown if "** of" in m.value)[2:-15])
        return app

    return opened


def ask(app, text):
    app.text_input(key="gallery_text").set_value(text).run()


def selecting(app, pages, people=()):
    app.toggle(key="gallery_picking").set_value(True).run()
    pages.says["gallery_grid"] = {"picked": [f"{frame}/{instance}" for frame, instance in people]}
    app.run()


def test_the_grid_shows_what_the_table_says_and_leads_to_the_review(gallery, pages):
    app, table = gallery(), pages.chosen.table
    cells = pages.shown["gallery_grid"]["cells"]
    assert table.people == app.found() == 24 and app.cards() == table.ids(np.arange(24))
    for row in (0, 5, 23):
        frame, instance = table.ids(np.array([row]))[0]
        assert cells[row]["name"] == f"frame {frame} · person {instance}"
        assert cells[row]["value"] == f"{table.occluded[row]:.0%}"
        ((url, text),) = cells[row]["pictures"]
        assert "/crop?" in url and text.startswith(f"frame {frame}, person {instance}, ")
    assert f"frame={frame}&instance={instance}" in cells[23]["href"]
    pages.says["gallery_grid"] = {"open": f"{frame}/{instance}"}
    app.run()
    wanted = {"set": pages.chosen.key, "frame": str(frame), "instance": str(instance)}
    assert wanted.items() <= app.query_params.items()
    assert any(key.startswith("editor ") for key in pages.shown)


def test_form_and_query_find_whom_the_command_line_finds(gallery, pages):
    app, dataset = gallery("left_knee hidden by self and status = pending"), pages.chosen.dataset
    assert app.selectbox(key="gallery_which_0").value == "left_knee"
    assert app.selectbox(key="gallery_test_0").value == "hidden by self"
    assert app.multiselect(key="gallery_status").value == ["pending"]
    app.selectbox(key="gallery_test_0").set_value("visible").run()
    assert app.text_input(key="gallery_text").value == "left_knee visible and status = pending"
    ask(app, "nose visible or left_ear visible")
    assert "This query is too complex for the form." in pages.words(app)
    assert app.selectbox(key="gallery_which_0").disabled
    pages.press(app, "Clear")
    assert app.text_input(key="gallery_text").value == "" and app.found() == 24
    for text in ("any ankle hidden by object", "any knee hidden and occluded > 0.1"):
        ask(app, text)
        wanted = list(matching_people(dataset, query_of(dataset, text)))
        assert 0 < len(wanted) < 24
        assert app.cards() == wanted and app.found() == len(wanted)
        assert app.query_params["q"] == text
    ask(app, "variant = clean and ocluded > 0.2")  # the last list stays
    line, caret = app.code[0].value.split("\n")
    assert line[caret.index("^") :].startswith("ocluded") and "occluded" in app.error[0].value
    assert f"Still showing the last valid query: {text}" in pages.words(app)
    assert app.cards() == wanted and app.query_params["q"] == text


def test_leads_flag_and_assign_many_and_every_one_is_an_event(gallery, pages):
    app, store, key = gallery("variant = occluder"), pages.ctx.store, pages.chosen.key
    chosen = app.cards()[:2]
    selecting(app, pages)
    assert "No people selected" in pages.words(app)
    grey = [button for button in app.button if button.label in ("Assign", "Flag")]
    assert all(b.disabled and "click some below" in b.help for b in grey) and len(grey) == 2
    selecting(app, pages, chosen)
    assert "2 people: selected" in pages.words(app)
    app.text_input(key="gallery_reason").set_value("=too <b>dark</b>").run()
    pages.press(app, "Flag")
    assert "2 people flagged." in pages.words(app)
    events = history.events(store, key)
    assert [(e.person.frame, e.person.instance) for e in events] == chosen
    assert {(e.kind, e.who, e.after["status"], e.after["reason"]) for e in events} == {
        ("status", "Ada", "flagged", "=too <b>dark</b>")
    }
    assert pages.shown["gallery_grid"]["cells"][0]["status"] == "flagged"
    pages.press(app, "Assign")
    assert "2 people assigned to Ada." in pages.words(app)
    assert members.assigned(store, key) == dict.fromkeys(chosen, "Ada")
    pages.press(app, "Undo")
    assert {history.states(store, key)[person].status for person in chosen} == {"pending"}


def test_a_reviewer_cannot_act_on_many(gallery, pages):
    for name, role in (("Ada", "admin"), ("Rex", "reviewer")):
        members.set_role(pages.ctx.store, name, role, by=ADMIN)
    app = gallery(user="Rex")
    selecting(app, pages)
    labels = {button.label for button in app.button}
    assert "Find similar poses" in labels
    assert not {"Assign", "Flag"} & labels and not app.multiselect(key="gallery_status").disabled
    assert "Relabel joints" not in {one.label for one in app.expander}


def test_who_is_found_is_relabelled_and_back(gallery, pages):
    """A preview changes nothing; one undo takes all of it back."""
    dataset, store, key = pages.chosen.dataset, pages.ctx.store, pages.chosen.key
    rows = people_of(dataset.folder)
    hidden = [p for p in rows if base_of(dataset, *p).joints["left_wrist"].cause == "self"]
    assert hidden

    def wrists():
        found = history.states(store, key).items()
        labels = {p: s.joints.get("left_wrist") for p, s in found}
        return {person: label.cause for person, label in labels.items() if label}

    app = gallery("left_wrist hidden by self")
    selecting(app, pages)
    app.selectbox(key="gallery_scope").set_value("all results").run()
    assert app.button(key="relabel_preview").disabled
    app.multiselect(key="relabel_joints").set_value(["left_wrist"])
    app.selectbox(key="relabel_now").set_value("hidden by own body")
    app.selectbox(key="relabel_to").set_value("hidden by an object").run()
    pages.press(app, "Preview")
    assert wrists() == {} and "becomes" in app.dataframe[0].value
    app.button(key="relabel_do").click().run()
    assert wrists() == dict.fromkeys(hidden, "object")
    assert "relabelled by Ada" in pages.words(app)
    pages.press(app, "Undo")
    assert wrists() == {} and "as before." in pages.words(app)
