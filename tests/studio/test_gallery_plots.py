"""Plots, lists, filters and query text of the gallery: each says what the others say."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import CAUSES
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.review.risk.people import facet, joint_facet
from synthstudio.review.risk.review_fields import matching_rows, parse_query
from synthstudio.review.risk.table import people_table
from synthstudio.review.values import STATUSES
from synthstudio.studio.gallery import filters, panel, plots, view
from synthstudio.studio.page_parts import csv_bytes, sequence_number


@pytest.fixture(scope="module")
def table(studio_set):
    return people_table(Dataset(studio_set))


@pytest.fixture
def columns(table):
    count = table.people
    found = {name: np.full(count, np.nan) for name in ("disagreement", "edited", "comments")}
    found |= {name: np.full(count, None, object) for name in ("assigned", "mentions", "threads")}
    found |= {name: np.full(count, "no", object) for name in ("changed", "overdue")}
    found["status"] = np.array(["pending", "flagged"] * count, object)[:count]
    found["reviewer"] = np.array([None, "Ada", "Bo"] * count, object)[:count]
    found["risk"] = np.where(np.arange(count) % 2, np.arange(count) / count, np.nan)
    return found | {"deleted": np.zeros(count, bool)}


def _counts(plot, table, columns):
    texts = [filters.query_text(ask) for ask in plot.filters]
    return [len(matching_rows(table, parse_query(text, table.joints), columns)) for text in texts]


def joint_form(which, test):
    return filters.Form(joints=(filters.JointCondition(which=which, test=test),))


def test_each_cell_bin_and_bar_finds_the_people_it_counts(table, columns):
    names, by_joint = joint_facet(table)
    cells = plots.heat_map(by_joint, table.joints)
    assert names == CAUSES and len(cells.figure.data[1].x) == len(cells.filters)
    bars = plots.bars(facet(table, "pose family"), field="pose family")
    halves = plots.bars({"pending": 12, "flagged": 12}, field="status")
    bins = plots.occluded_counts(table.occluded)
    for plot, counts in (
        (cells, by_joint[:, :5].ravel().tolist()),
        (plots.histogram(bins), bins.tolist()),
        (bars, list(bars.figure.data[0].x)),
        (halves, [12, 12]),
    ):
        assert _counts(plot, table, columns) == counts
    assert bins.sum() == table.people and by_joint[:, :5].sum() == table.people * len(table.joints)
    assert "none" in plots.bars({}, field="status").alt


def test_bins_hold_their_lower_end_and_the_last_one_both():
    fractions = np.array([0.0, 0.1, 0.3, 0.7, 0.999, 1.0, np.nan])
    assert plots.occluded_counts(fractions).tolist() == [1, 1, 0, 1, 0, 0, 0, 1, 0, 2]


def test_a_click_narrows_the_query_and_nonsense_of_a_browser_is_none(table):
    now = view.GalleryState()
    panel.narrow(now, filters.Form(ranges={"occluded": (0.3, 0.4)}), table.joints)
    assert now.query == "occluded >= 0.3 and occluded < 0.4"
    view.set_query(now, "nose visible or left_ear visible", table.joints)
    panel.narrow(now, joint_form("left_knee", "hidden by self"), table.joints)
    assert now.query == "(nose visible or left_ear visible) and left_knee hidden by self"
    points = [[{"point_index": index}] for index in (3, 4, -1, "0", True, 1.0)]
    events = [{"selection": {"points": one}} for one in (*points, [], ["x"])]
    assert [panel._chosen_points(event, 4) for event in [*events, None, {}]] == [[3], *[[]] * 9]


def test_orders_put_the_unknown_last_and_pages_end(table, columns):
    rows = np.arange(table.people)
    risk = columns["risk"][view.sort_rows(rows, "risk", table, columns)]
    known = risk[np.isfinite(risk)]
    assert (np.diff(known) <= 0).all() and np.isnan(risk[len(known) :]).all()
    assert (np.diff(table.occluded[view.sort_rows(rows, "occluded", table, columns)]) <= 0).all()
    assert (np.diff(table.occluded[view.sort_rows(rows, "shown", table, columns)]) >= 0).all()
    page = view.page_of(rows, number=99, size=10)
    assert (page.number, page.pages, page.first) == (2, 3, 20)
    assert page.rows.tolist() == rows[20:].tolist()
    assert view.page_of(rows[:0], number=3, size=10).pages == 1


def test_the_csv_says_what_the_table_says_and_starts_no_formula(table, columns):
    columns["reviewer"][0] = "=1+1"
    everybody = np.arange(table.people)
    rows = view.csv_rows(everybody, table, columns)
    data = csv_bytes(view.csv_header(table.joints), rows).decode()
    lines = list(csv.DictReader(io.StringIO(data)))
    assert [(int(r["frame"]), int(r["instance"])) for r in lines] == table.ids(everybody)
    assert lines[0]["reviewer"] == "'=1+1"
    assert lines[1]["status"] == "flagged"
    for k in (0, 7):
        assert float(lines[k]["occluded"]) == pytest.approx(table.occluded[k], rel=1e-5, abs=1e-9)
        assert [lines[k][j] for j in table.joints] == [CAUSES[c] for c in table.cause[k]]


def test_the_turn_rises_when_what_is_shown_changes():
    first = sequence_number(None, "a")
    assert sequence_number(first, "a") == first
    ahead = (first[0] + 10**12, "a")  # a clock that was set back
    assert sequence_number(ahead, "b") == (ahead[0] + 1, "b")
    assert sequence_number(first, "b")[0] > first[0]
    assert first[0] < 2**53  # JavaScript holds it exactly


JOINTS = get_skeleton("coco17").joints
_words = st.text("abc_ -'é12", min_size=1, max_size=8)


@st.composite
def forms(draw):
    which, test = st.sampled_from(filters.joint_choices(JOINTS)), st.sampled_from(filters.TESTS)
    ask = st.builds(filters.JointCondition, which=which, test=test)
    asks = draw(st.lists(ask, max_size=filters.MAX_JOINT_TESTS, unique=True))
    form = filters.Form(joints=tuple(asks))
    for name in filters.RANGES:
        low = draw(st.integers(0, 99))
        limits = low / 100, draw(st.integers(low + 1, 100)) / 100
        form = filters.merged(form, filters.Form(ranges={name: limits}))
    for name, words in (("reviewer", _words), ("status", st.sampled_from(STATUSES))):
        values = tuple(draw(st.lists(words, max_size=3, unique=True)))
        form = filters.merged(form, filters.Form(choices={name: values}))
    return form


@given(forms())
def test_a_form_becomes_text_and_the_text_the_same_form(form):
    text = filters.query_text(form)
    assert filters.form_from_query(parse_query(text, JOINTS) if text else None) == form


MORE = [
    "nose visible or left_ear visible", "not nose visible", "occluded > 0.3", "occluded <= 0.3",
    "occluded >= 2", "depth < 4", "left_wrist visible share > 0.2", "no wrist visible",
    "nose visible and left_eye visible and right_eye visible", "at least 3 joints hidden",
    "status = pending and status = flagged", "status != pending", "nose cause in (self, person)",
]  # fmt: skip


def test_a_query_that_says_more_has_no_form():
    for text in MORE:
        assert filters.form_from_query(parse_query(text, JOINTS)) is None, text


def test_a_click_adds_a_joint_and_the_oldest_gives_way():
    form = filters.Form()
    for name in ("nose", "left_eye", "right_eye"):
        form = filters.merged(form, joint_form(name, "hidden"))
    assert [ask.which for ask in form.joints] == ["left_eye", "right_eye"]


def test_names_are_quoted_and_one_that_cannot_be_is_refused():
    assert filters.quote("ann") == "ann"
    assert filters.quote("Ann B") == '"Ann B"'
    assert filters.quote('5" screen') == "'5\" screen'"
    with pytest.raises(DatasetError, match="both kinds of quotes"):
        filters.quote("\"'")
