"""The team page in a browser: roles, work, agreement and decisions are those of the store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import settled
from playwright.sync_api import expect
from reviewing import Desk, Reviewed, eventually, reviewed

from synthstudio.review import history, leases
from synthstudio.review.check import base_of
from synthstudio.review.leases import SECOND
from synthstudio.review.settings import set_share, share_of
from synthstudio.review.team import members
from synthstudio.review.team.second_pass import Decision, Pair, begin_second_looks
from synthstudio.review.team.statistics import Disagreement, agreement, disagreements
from synthstudio.review.values import ItemState, JointLabel, Person, User
from synthstudio.studio.second_look import agreement_words, decision_of, joint_lines, label_words

journey = pytest.mark.nightly("browser journey of a served studio")


@pytest.fixture(scope="module")
def review(studio, studio_set) -> Iterator[Reviewed]:
    found = reviewed(studio.db, studio_set)
    yield found
    found.store.close()


@pytest.fixture
def team_page(page, studio, open_as) -> Callable[..., Any]:
    def opened(part: str = "", *, name: str = "Ada") -> Any:
        open_as(page, studio, "team", name=name)
        page.get_by_text("Second look", exact=True).wait_for()
        if part:
            page.get_by_text(part, exact=True).click()
        return page

    return opened


@journey
@pytest.mark.browser
def test_the_first_to_name_somebody_becomes_admin_and_assigns(team_page, review) -> None:
    page = team_page()
    page.get_by_text("Nobody has a role yet").wait_for()
    for name in ("<b>x</b>", "Rex"):
        page.get_by_role("textbox", name="Name").fill(name)
        page.get_by_role("button", name="Set").click()
        if name != "Rex":
            page.get_by_text("this cannot be a name").wait_for()
            settled(page)
    eventually(lambda: dict(members.members(review.store)), {"Ada": "admin", "Rex": "reviewer"})
    page.get_by_label("People", exact=True).fill("3")
    page.get_by_label("People", exact=True).press("Tab")
    page.get_by_role("button", name="Assign", exact=True).click()
    eventually(lambda: members.assignment_counts(review.store, review.table.key), {"Ada": 3})
    page.get_by_text("21 waiting people are unassigned").wait_for()
    page.context.clear_cookies()  # another browser
    page = team_page(name="Rex")  # reviewers see no forms of leads
    page.get_by_text(re.compile("people wait")).wait_for()
    settled(page)
    for name in ("Set", "Assign"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    page.get_by_text("Decide", exact=True).click()
    page.get_by_text("Leads decide").wait_for()


@pytest.fixture(scope="module")
def looked_twice(review: Reviewed) -> Reviewed:
    """Let two reviewers look at four people: they differ in one wrist, and once in the verdict."""
    team = review.team(Ada="admin", Rex="reviewer", Una="reviewer")
    set_share(review.store, review.table.key, "second_share", 1.0, by=team["Ada"])
    for row in range(4):
        review.decide(team["Rex"], review.person(row))
    people = begin_second_looks(review.store, review.table, who=team["Una"], count=4, share=1.0)
    assert len(people) == 4
    first = min(people, key=lambda p: (p.frame, p.instance))
    for person in people:
        if person == first:
            review.move(team["Una"], person, "left_wrist", 40.0)
        review.decide(team["Una"], person, "rejected" if person == people[-1] else "approved")
    return review


@journey
@pytest.mark.browser
def test_agreement_on_the_page_is_that_of_the_store(team_page, looked_twice) -> None:
    found = agreement(looked_twice.store, looked_twice.table)
    assert found.people == 4
    page = team_page("Second look")
    output = re.sub(r"\*\*", "", agreement_words(found))
    expect(page.get_by_text(output)).to_have_count(1)
    page.locator(".js-plotly-plot").nth(1).wait_for()
    wrist = next(line for line in joint_lines(found) if line["joint"] == "left wrist")
    others = [line for line in joint_lines(found) if line["joint"] != "left wrist"]
    assert wrist["spread, sigmas"] and all(not line["spread, sigmas"] for line in others)


@journey
@pytest.mark.browser
def test_leads_choose_the_share(team_page, looked_twice) -> None:
    key = looked_twice.table.key
    page = team_page("Second look")
    box = page.get_by_label("Looked at twice, %")
    for share, people in ((50, 12), (100, 24)):
        box.wait_for()
        settled(page)  # each run writes the stored share into the box
        box.fill(str(share))
        box.press("Enter")
        eventually(lambda: share_of(looked_twice.store, key, "second_share"), share / 100)
        reported = rf"{people} people \({share}%\) are to be looked at twice"
        page.get_by_text(re.compile(reported)).wait_for()


@journey
@pytest.mark.browser
def test_a_lead_takes_one_joint_of_the_second_look(team_page, looked_twice) -> None:
    review = looked_twice
    open_ones = disagreements(review.store, review.table)
    place = next(k for k, one in enumerate(open_ones) if one.joints)
    one = open_ones[place]
    wanted = one.pair.second.joints["left_wrist"]
    page = team_page("Decide")
    for k in range(place):
        page.get_by_role("button", name="Next").click()
        page.get_by_text(re.compile(rf", {k + 2} of {len(open_ones)}$")).wait_for()
    page.get_by_text(f"Frame {one.frame}, person {one.instance}").wait_for()
    for letter in "AB":
        page.get_by_role("img", name=f"The labels of look {letter}").wait_for()
    page.get_by_text(f"B: {label_words(wanted)}").wait_for()
    settled(page)  # no form of another pair is left
    page.locator("[data-testid=stRadio] label").filter(has_text="B").click()
    page.get_by_role("textbox", name="Reason").fill("B saw it")
    form = page.get_by_test_id("stFormSubmitButton")  # the page's part has this name too
    form.get_by_role("button", name="Decide", exact=True).click()
    eventually(lambda: len(disagreements(review.store, review.table)), len(open_ones) - 1)
    person = Person(dataset=review.table.key, frame=one.frame, instance=one.instance)
    now = history.state(review.store, person)
    label = now.joints["left_wrist"]
    assert (label.x_px, label.state) == (wanted.x_px, wanted.state)
    assert (now.status, now.reason, now.who) == ("approved", "B saw it", "Ada")


@journey
@pytest.mark.browser
def test_a_second_look_goes_to_its_own_layer(team_page, studio, looked_twice) -> None:
    review = looked_twice
    una, rex = User(name="Una", role="reviewer"), User(name="Rex", role="reviewer")
    row = 12
    main = review.person(row)
    review.move(rex, main, "left_knee", 30.0)
    review.decide(rex, main)
    first = history.state(review.store, main)
    page = team_page("Second look", name="Una")
    page.get_by_role("button", name="Take people for a second look").click()
    page.wait_for_url("**/review?**")
    desk = Desk(page, studio)
    page.locator(".ed[data-ready]").wait_for()
    desk.shown(f"{main.frame}:{main.instance}")
    assert page.locator(".ed").get_by_text("approved").count() == 0, "the first look is not told"
    page.locator(".ed .stage").focus()
    desk.press("a")
    desk.saved()
    second = history.state(review.store, review.person(row, layer=SECOND))
    assert (second.status, second.who, dict(second.joints)) == ("approved", una.name, {})
    assert history.state(review.store, main) == first


@journey
@pytest.mark.browser
def test_leads_give_leases_back(team_page, looked_twice) -> None:
    review = looked_twice
    una = User(name="Una", role="reviewer")
    leases.claim(review.store, [review.person(20), review.person(21)], who=una, count=2)
    page = team_page()
    page.get_by_role("button", name="Release all leases").click()
    eventually(lambda: len(leases.leases(review.store, review.table.key)), 0)


def test_a_decision_takes_the_labels_it_was_told_to(studio_set: Path, tmp_path: Path) -> None:
    review = reviewed(tmp_path / "review.db", studio_set)
    person = review.person(0)
    joints = review.on_disk(person)
    moved = JointLabel(x_px=1.0, y_px=2.0, state=1, cause="object")
    second = ItemState(person=person, joints={"nose": moved})
    pair = Pair(row=0, first=ItemState(person=person), second=second, adjudicated=False)
    found = Disagreement(pair=pair, frame=0, instance=1, score=1.0, joints=("nose",), what=())
    base = base_of(review.dataset, person.frame, person.instance)
    picked = {"nose": "B", "left_eye": "B", "right_eye": "A"}
    decision = decision_of(found, base, picked, status="approved", text="")
    assert decision.joints == {"nose": moved, "left_eye": joints["left_eye"]}
    gone = decision_of(found, base, picked, status="deleted", text="a poster")
    assert gone == Decision(choice="own", deleted=True, text="a poster")
    assert label_words(moved) == "hidden by object at 1.0, 2.0"
    assert label_words(None) == "nothing"
    review.store.close()
