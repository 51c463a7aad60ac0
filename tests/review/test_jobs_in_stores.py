"""The queue of jobs in both kinds of store: added once, resumed only if there is room."""

from pathlib import Path

import pytest
from review_ops import ANNA, LEAD, refused

from synthstudio.core.errors import RecipeError, Refused
from synthstudio.recipe.schema.load import dump, parse
from synthstudio.review.models import JobRow
from synthstudio.review.store import Store
from synthstudio.studio.jobs import job_store, orders
from synthstudio.studio.jobs.orders import Generate
from synthstudio.studio.settings import Limits, Settings

RECIPE = {
    "name": "tiny",
    "frames": 100,
    "seed": 3,
    "image": {"width_px": 160, "height_px": 120},
    "people": {"count": 1},
    "backdrop": {"kind": "plain"},
}


@pytest.fixture
def settings(tmp_path: Path, store_url: str) -> Settings:
    (tmp_path / "scenes").mkdir()
    return Settings(
        database=store_url, exports=tmp_path / "exports", scenes=tmp_path / "scenes", state=tmp_path
    )


def order(out: str = "first", **changes) -> Generate:
    return Generate(recipe=dump(parse({**RECIPE, **changes})), out=out)


def ended(store: Store, number: int) -> None:
    """Let a job have failed."""
    with store.session() as session:
        session.get(JobRow, number).state = "failed"


def test_resumed_is_checked_as_new(store: Store, settings: Settings, monkeypatch) -> None:
    made = job_store.add(store, order(), settings, who=LEAD)
    ended(store, made.id)
    needed = orders.bytes_needed(parse(RECIPE))
    room = {"free": needed + orders.SPARE_BYTES - 1}
    monkeypatch.setattr(orders, "free_bytes", lambda _: room["free"])
    before = job_store.job(store, made.id)
    with pytest.raises(Refused, match="disk is too full") as caught:
        job_store.resume(store, made.id, settings, who=LEAD)
    assert caught.value.reason == "invalid" and job_store.job(store, made.id) == before
    # What is made already needs no room again.
    monkeypatch.setattr(job_store, "frames_on_disk", lambda _: 50)
    room["free"] = needed // 2 + orders.SPARE_BYTES + 1
    assert job_store.resume(store, made.id, settings, who=LEAD).state == "queued"
    ended(store, made.id)
    room["free"] = needed // 2 + orders.SPARE_BYTES - 2
    with pytest.raises(Refused, match="disk is too full"):
        job_store.resume(store, made.id, settings, who=LEAD)
    room["free"] = 2 * needed + orders.SPARE_BYTES
    with refused("role"):
        job_store.resume(store, made.id, settings, who=ANNA)
    smaller = Settings(**{**vars(settings), "limits": Limits(frames=99)})
    with pytest.raises(RecipeError, match="more frames than the studio makes"):
        job_store.resume(store, made.id, smaller, who=LEAD)
    assert job_store.resume(store, made.id, settings, who=LEAD).state == "queued"
