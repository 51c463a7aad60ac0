"""No page has a serious accessibility violation that axe-core finds, in dark and in light."""

from importlib import resources

import pytest
from reviewing import eventually
from served import settled

from synthstudio.studio.settings import PAGES

pytestmark = [pytest.mark.browser, pytest.mark.nightly("every page, light and dark, by axe-core")]


@pytest.fixture(scope="module")
def axe():
    return (resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")


def violations(page, axe):
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        (rule["id"], str(node["target"]), node["failureSummary"])
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def look(page):
    settled(page)
    page.locator("h1, .ed[data-ready]").first.wait_for()
    page.wait_for_load_state("networkidle")
    moving = "document.getAnimations().filter(one => one.effect.getTiming().iterations < 99).length"
    eventually(lambda: page.evaluate(moving), 0)  # what an older run has left fades in and out


@pytest.mark.parametrize("name", [*PAGES, "gallery-statistics", "gallery-select"])
def test_no_serious_violation(page, studio, open_as, axe, name):
    path, _, more = name.partition("-")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        open_as(page, studio, "" if path == "home" else path)
        look(page)
        if more == "statistics":
            page.get_by_text("Statistics", exact=True).click()
            page.locator(".js-plotly-plot").first.wait_for()
        elif more == "select":
            page.get_by_text("Select", exact=True).click()
            page.get_by_role("button", name="Flag").wait_for()
        look(page)
        left = violations(page, axe)
        assert not left, scheme + "".join(f"\n{rule} {at}\n    {what}" for rule, at, what in left)
