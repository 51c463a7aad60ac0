"""Settings, people and small orders that the tests of jobs share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from waiting import wait_for

from synthstudio.recipe.schema.load import dump, parse
from synthstudio.review.models import JobRow as Job
from synthstudio.review.store import Store
from synthstudio.review.values import User
from synthstudio.studio.jobs import job_store
from synthstudio.studio.jobs.orders import Generate
from synthstudio.studio.settings import Limits, Settings

LEAD = User(name="Lea", role="lead")
REVIEWER = User(name="Rudi", role="reviewer")
RECIPE: dict[str, Any] = {"name": "tiny", "frames": 4, "seed": 3, "people": {"count": 1}}
RECIPE["image"] = {"width_px": 160, "height_px": 120, "supersample": 1}
RECIPE["backdrop"] = {"kind": "plain"}


def settings_in(folder: Path, **limits: int) -> Settings:
    scenes = folder / "scenes"
    scenes.mkdir(parents=True, exist_ok=True)
    (scenes / "tiny.yaml").write_text(yaml.safe_dump(RECIPE))
    (folder / "state").mkdir(exist_ok=True)
    places: Any = {"exports": folder / "exports", "scenes": scenes, "state": folder / "state"}
    database = f"sqlite:///{folder}/state/review.db"
    return Settings(database=database, limits=Limits(**limits), **places)


def order(out: str = "first", **changes: Any) -> Generate:
    return Generate(recipe=dump(parse({**RECIPE, **changes})), out=out)


def drive(store: Store, settings: Settings, number: int, *, until: Callable[[Job], bool]) -> Job:
    """Look after the jobs, as a server does, until one of them is as wanted."""

    def looked_after() -> Job | None:
        job_store.run_once(store, settings)
        seen = job_store.job(store, number)
        return seen if until(seen) else None

    return wait_for(looked_after, f"job {number} as wanted", patience_s=240)


def ended(job: Job) -> bool:
    return not job.active
