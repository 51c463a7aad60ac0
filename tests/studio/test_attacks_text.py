"""HTML, scripts and Markdown in every text that people write: shown as text, on every page."""

import shutil

import pytest
from playwright.sync_api import expect
from review_ops import Desk
from served import settled

from synthstudio.dataset.reader import Dataset
from synthstudio.review.risk import review_fields
from synthstudio.review.store import open_store
from synthstudio.review.team.members import set_role
from synthstudio.review.values import User
from synthstudio.studio.settings import PAGES as TITLES

pytestmark = [pytest.mark.browser, pytest.mark.nightly("browser journeys of a served studio")]
PAGES = ("", *(name for name in TITLES if name != "home"))
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
def found(start_studio, studio_set, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evil") / "<b class=evil>![e](x)"
    shutil.copytree(studio_set, folder)
    studio = start_studio(folder)
    admin, mallory = User(name="Ada", role="admin"), User(name=NAME, role="reviewer")
    store = open_store(f"sqlite:///{studio.db}")
    desk = Desk(store, Dataset(folder))
    set_role(store, "Ada", "admin", by=admin)
    set_role(store, NAME, "reviewer", by=admin)
    desk.do("comment", 0, who=mallory, text=f"@{NAME} {EVIL}")
    desk.do("status", 0, who=mallory, status="flagged", text=EVIL)
    review_fields.save_view(store, desk.key, name=NAME, query="", who=admin, for_all=True)
    store.close()
    return studio


def test_no_page_makes_an_element_of_it(found, page, open_as):
    for name in PAGES:
        open_as(page, found, f"{name}?frame=0&instance=1")
        shown = page.get_by_role("combobox", name="Data set", include_hidden=True).first
        expect(shown).to_have_value("<b class=evil>![e](x)")  # letter by letter
        if name in PAINTED:
            page.locator(PAINTED[name]).first.wait_for()
        settled(page)
        assert page.evaluate(FOUND) == [None], name
    open_as(page, found, "team")
    page.get_by_text("Threads", exact=True).click()
    page.get_by_text("onclick=window.evil=5").first.wait_for()
    settled(page)
    assert page.evaluate(FOUND) == [None]
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<i class=evil></i>')")
    assert page.evaluate(FOUND) == [None, '<i class="evil"></i>']  # the control
