"""Kinds of rooms: each has what belongs in it, arranged so that it makes sense."""

from collections import Counter

import pytest
from test_furniture import ROOM, apart_m, frames, scenery, usual_frames

from synthstudio.core.spec import ThingSpec
from synthstudio.recipe.layout import indoors
from synthstudio.recipe.layout.interiors import ANYWHERE, INTERIORS
from synthstudio.recipe.layout.site import box_of


@pytest.fixture(params=sorted(INTERIORS))
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make all rooms of one kind, and return which."""
    monkeypatch.setattr(indoors, "INTERIORS", {request.param: INTERIORS[request.param]})
    return str(request.param)


def near_m(a: ThingSpec, b: ThingSpec) -> float:
    """Return how far two things are apart across the floor."""
    return apart_m(box_of(a)[:, :2], box_of(b)[:, :2])


def test_a_room_has_what_makes_it_one_and_only_what_belongs_in_it(name):
    interior, seen = INTERIORS[name], Counter[str]()
    found = [{thing.kind for thing in scenery(spec)} for spec in frames(12, ROOM)]
    for one in found:
        assert one <= interior.kinds()
        seen.update(one)
    assert seen[interior.first] >= 9
    assert len(set(seen) - set(ANYWHERE)) >= 4


def test_what_belongs_together_is_together():
    seen = Counter[str]()
    for spec in usual_frames(40):
        placed = scenery(spec)
        by_kind = {kind: [t for t in placed if t.kind == kind] for kind in {t.kind for t in placed}}
        for rug in by_kind.get("rug", []):
            owners = by_kind.get("sofa", []) + by_kind.get("bed", [])
            assert min(near_m(rug, one) for one in owners) < 0.3
        for curtain in by_kind.get("curtains", []):
            assert min(near_m(curtain, one) for one in by_kind["window"]) < 0.03
        for radiator in by_kind.get("radiator", []):
            above = [t for t in by_kind["window"] if near_m(t, radiator) < 0]
            assert above and radiator.size_m[2] + radiator.position_m[2] < above[0].position_m[2]
        for monitor in by_kind.get("monitor", []):
            owners = by_kind.get("desk", []) + by_kind.get("counter", [])
            assert min(near_m(monitor, one) for one in owners) < 0
        for kind, found in by_kind.items():
            assert len(found) == 1 or kind not in indoors._ONCE
        seen.update(list(by_kind))
    assert {"rug", "curtains", "radiator", "monitor"} <= set(seen)
    assert len(seen) > 35
