"""HTML, scripts and Markdown in every text that people write: shown as text, on every page."""

from __future__ import annotations

import shutil

import pytest
from attackers import log_of, state_of
from conftest import Studio, settled
from playwright.sync_api import expect
from reviewing import eventually

from synthstudio.dataset.reader import Dataset
from synthstudio.review import settings
from synthstudio.review.check import base_of
from synthstudio.review.datasets import content_key
from synthstudio.review.edits import apply
from synthstudio.review.store import open_store
from synthstudio.review.team.members import set_role
from synthstudio.review.values import Op, Person, User

pytestmark = pytest.mark.browser
PAGES = ("", "review", "gallery", "queue", "team", "generate")
PAINTED = {"review": ".ed[data-ready]", "gallery": "a.card"}  # what comes after the script's run
EVIL = (
    '<img src="http://evil.example/a.png" class=evil onerror="window.evil=1">'
    "<script>window.evil=2</script><svg class=evil onload=window.evil=3></svg>"
    "![b](http://evil.example/b.png)[c](javascript:window.evil=4)<b class=evil>d</b>"
)
NAME = "<b class=evil onclick=window.evil=5>x ![e](http://evil.example/e.png)"
FOUND = """() => {
  const found = [window.evil ?? null], roots = [document];
  while (roots.length) {
    for (const e of roots.pop().querySelectorAll('*')) {
      if (e.shadowRoot) roots.push(e.shadowRoot);
      const leads = (e.getAttribute('src') || '') + (e.getAttribute('href') || '');
      if (e.classList.contains('evil') || /evil[.]example|javascript:/.test(leads))
        found.push(e.outerHTML);
    }
  }
  return found;
}"""


@pytest.fixture(scope="module")
def found(start_studio, studio_set, tmp_path_factory) -> Studio:
    """Return a studio in whose store every text is hostile, also the data set's name."""
    folder = tmp_path_factory.mktemp("evil") / "<b class=evil>![e](x)"
    shutil.copytree(studio_set, folder)
    studio = start_studio(folder)
    admin = User(name="Ada", role="admin")
    store, dataset = open_store(f"sqlite:///{studio.db}"), Dataset(folder)
    key, base = content_key(dataset), base_of(dataset, 0, 1)
    person = Person(dataset=key, frame=0, instance=1)
    set_role(store, "Ada", "admin", by=admin)
    set_role(store, NAME, "reviewer", by=admin)
    mallory = User(name=NAME, role="reviewer")
    apply(
        store,
        Op(client="m", seq=1, person=person, revision=0, kind="comment", text=f"@{NAME} {EVIL}"),
        who=mallory,
        base=base,
    )
    apply(
        store,
        Op(
            client="m", seq=2, person=person, revision=1, kind="status", status="flagged", text=EVIL
        ),
        who=mallory,
        base=base,
    )
    settings.save_view(store, key, name=NAME, query="", who=admin, for_all=True)
    store.close()
    return studio


@pytest.mark.parametrize("name", PAGES)
def test_no_page_makes_an_element_of_it(name, found, page, open_as, screenshots):
    open_as(page, found, f"{name}?frame=0&instance=1")
    shown = page.get_by_role("combobox", name="Data set").first
    expect(shown).to_have_value("<b class=evil>![e](x)")  # letter by letter
    if name in PAINTED:
        page.locator(PAINTED[name]).first.wait_for(timeout=90_000)
    page.wait_for_timeout(1500)
    settled(page)
    screenshots(page, f"evil_{name or 'home'}")
    assert page.evaluate(FOUND) == [None]


def test_negative_control_the_search_finds_elements(found, page, open_as):
    open_as(page, found)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<i class=evil></i>')")
    assert page.evaluate(FOUND) == [None, '<i class="evil"></i>']


def test_comments_are_shown_letter_by_letter(found, page, open_as):
    open_as(page, found, "review?frame=0&instance=1&queue=all")
    page.get_by_text("window.evil=2").first.wait_for()
    assert page.evaluate(FOUND) == [None]


def test_threads_are_listed_letter_by_letter(found, page, open_as):
    open_as(page, found, "team")
    page.get_by_text("Threads", exact=True).click()
    page.get_by_text("onclick=window.evil=5").first.wait_for()
    settled(page)
    assert page.evaluate(FOUND) == [None]
    with page.expect_download() as download:  # made when it is asked for
        page.get_by_role("button", name="CSV").click()
    lines = download.value.path().read_text("utf-8-sig").splitlines()
    assert lines[0].startswith("thread,frame,instance,joint") and len(lines) > 1


def test_hostile_names_and_addresses_are_refused(found, page, open_as):
    before = state_of(found)
    page.goto(f"{found.url}/review?set=<img class=evil>&q=<script>window.evil=1</script>&frame=x")
    field = page.get_by_role("textbox", name="Your name")
    field.wait_for()
    names = ("<b class=evil>a", "=cmd()", "![a](http://evil.example/a.png)", "a\u202eb")
    logged = log_of(found).count("refused a name")
    for k, name in enumerate(names):
        settled(page)
        field.fill(name)
        page.get_by_role("button", name="Continue").click()
        eventually(lambda: log_of(found).count("refused a name"), logged + k + 1)
        page.get_by_text("this cannot be a name").wait_for()
        settled(page)
        assert page.evaluate(FOUND) == [None]
    field.fill("Ada")
    page.get_by_role("button", name="Continue").click()
    page.get_by_test_id("stSidebar").wait_for()
    settled(page)
    assert page.evaluate(FOUND) == [None]
    assert state_of(found) == before


def test_a_stranger_where_members_are_defined(found, page):
    page.goto(found.url)
    page.get_by_role("textbox", name="Your name").fill("Zoe")
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("Zoe is not a member").wait_for()
    settled(page)
    expect(page.get_by_text("Data set", exact=True)).to_have_count(0)
    eventually(lambda: "refused a stranger" in log_of(found), True)
    page.get_by_role("button", name="Change name").click()
    page.get_by_role("textbox", name="Your name").wait_for()
