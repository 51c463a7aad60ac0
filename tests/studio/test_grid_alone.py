"""The grid of people in a page without a server, called as Streamlit calls it."""

import pytest

from synthstudio.studio.components import grid_source, sequence_number

_HOST = """
async (js) => {
  const root = document.body.appendChild(document.createElement("div"));
  window.root = root.attachShadow({ mode: "open" });
  const url = URL.createObjectURL(new Blob([js], { type: "text/javascript" }));
  const grid = (await import(url)).default;
  const cell = (id) => ({ id, name: id, href: "#", pictures: [["", ""]], value: "", status: "",
                          colour: "#000", extra: "", notes: [] });
  window.give = (turn, ids) => grid({
    data: { cells: ids.map(cell), page: String(turn), label: "", pick: false, wide: 168,
            picked: [], turn },
    parentElement: window.root, setStateValue() {}, setTriggerValue() {},
  });
}
"""
_SHOWN = "() => [...window.root.querySelectorAll('a.card')].map((card) => card.dataset.id)"


@pytest.mark.browser
def test_an_older_call_that_comes_late_changes_nothing(new_page):
    page = new_page()
    page.evaluate(_HOST, grid_source()[0])
    page.evaluate("window.give(2, ['0/1'])")
    page.evaluate("window.give(1, ['0/1', '0/2', '0/3'])")
    assert page.evaluate(_SHOWN) == ["0/1"]
    page.evaluate("window.give(3, ['4/1', '4/2'])")
    assert page.evaluate(_SHOWN) == ["4/1", "4/2"]


def test_the_turn_rises_when_what_is_shown_changes():
    first = sequence_number(None, "a")
    assert sequence_number(first, "a") == first
    ahead = (first[0] + 10**12, "a")  # a clock that was set back
    assert sequence_number(ahead, "b") == (ahead[0] + 1, "b")
    assert sequence_number(first, "b")[0] > first[0]
    assert first[0] < 2**53  # JavaScript holds it exactly
