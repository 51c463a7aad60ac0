"""What a report says about a data set: counted once, streaming, by stats, coverage and specs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthstudio.core.bins import FRACTIONS, VIEWS
from synthstudio.core.labels import CAUSES
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import no_spec, spec_fields
from synthstudio.quality.coverage import REGIONS, Coverage, Example, coverage
from synthstudio.quality.stats import dataset_stats

SKIN = ("very light", "light", "intermediate", "tan", "brown", "dark")
_SKIN_EDGES = (55.0, 41.0, 28.0, 10.0, -30.0)
"""Lower ends in degrees of the individual typology angle (Chardon et al. 1991)."""
# Linear sRGB to Y and Z, D65, over those of white (IEC 61966-2-1).
_TO_YZ = np.array([[0.21267, 0.71516, 0.07217], [0.01776, 0.10947, 0.87277]])


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was counted. `skin` maps each of SKIN to people; `backdrops` counts frames."""

    stats: dict[str, Any]
    coverage: Coverage
    skin: dict[str, int]
    backdrops: dict[str, int]
    lights: list[int]  # frames by the sun's height, nine bins of 10 degrees
    sizes: dict[str, int]  # frames by width x height
    replayable: int  # frames with a stored spec
    photos: int  # of those, real photos with people hidden in them

    @property
    def rendered(self) -> int:
        """Frames that were rendered as a whole."""
        return self.replayable - self.photos

    @property
    def outside(self) -> int:
        """Frames from outside: photos, or imported."""
        return int(self.stats["frames"]) - self.rendered


def gather(dataset: Dataset, *, on_step: Callable[[str], None] | None = None) -> Facts:
    """Count a data set in three passes; memory does not grow with it."""
    step = on_step or (lambda _: None)
    step("counting joints")
    found = dataset_stats(dataset)
    step("counting coverage")
    covered = coverage(dataset)
    step("reading specs")
    skin = dict.fromkeys(SKIN, 0)
    backdrops: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    lights = [0] * 9
    replayable = photos = 0
    for row in dataset.iter_frames(["spec", "width_px", "height_px"]):
        sizes[f"{row['width_px']} x {row['height_px']}"] += 1
        if row["spec"] is None:
            continue
        spec = spec_fields(row["spec"])
        replayable += 1
        if "backdrop" not in spec:  # a real photo, with what was pasted over it
            backdrops["real photo"] += 1
            photos += 1
            continue
        try:
            backdrops[str(spec["backdrop"]["kind"])] += 1
            height = np.degrees(np.arcsin(np.clip(spec["light"]["sun_direction"][2], 0, 1)))
            lights[min(8, int(height / 10))] += 1
            for person in spec["people"]:
                skin[skin_of(person["look"]["skin_rgb"])] += 1
        except (LookupError, TypeError, ValueError) as error:
            raise no_spec(f"{type(error).__name__}: {error}") from error
    return Facts(
        stats=found,
        coverage=covered,
        skin=skin,
        backdrops=dict(backdrops.most_common()),
        lights=lights,
        sizes=dict(sizes.most_common()),
        replayable=replayable,
        photos=photos,
    )


def skin_of(linear_rgb: list[float]) -> str:
    """Which of SKIN an albedo is: by ITA = atan((L* - 50) / b*) in degrees."""
    y, z = np.cbrt(np.clip(_TO_YZ @ np.array(linear_rgb, np.float64), 1e-6, None))
    lightness, b = 116 * y - 16, 200 * (y - z)
    angle = float(np.degrees(np.arctan2(lightness - 50, b)))
    return next((n for n, e in zip(SKIN, _SKIN_EDGES, strict=False) if angle > e), SKIN[-1])


def chosen_examples(found: Coverage) -> Iterator[tuple[str, str, Example]]:
    """Yield (axis, bin, example) for bins of the occluded fraction, the view and the cause."""
    seen = found.examples
    views, fractions = len(VIEWS), len(FRACTIONS)
    taken: set[int] = set()
    for f, name in enumerate(FRACTIONS):
        places = [f * (views + 1) + v for v in range(views + 1)]
        yield from _first(seen.by_view.example, places, taken, "occluded fraction", name)
    for v, name in enumerate(VIEWS):
        places = [f * (views + 1) + v for f in range(fractions)]
        yield from _first(seen.by_view.example, places, taken, "view", name)
    for c, name in enumerate(CAUSES[:5]):
        places = [c * len(REGIONS) + r for r in range(len(REGIONS))]
        yield from _first(seen.by_cause.example, places, taken, "cause", name)


def _first(
    example: Callable[[int], Example | None],
    places: list[int],
    taken: set[int],
    axis: str,
    name: str,
) -> Iterator[tuple[str, str, Example]]:
    """Yield the example of the fullest place, if possible from a frame not shown yet."""
    found = [e for e in map(example, places) if e is not None]
    found.sort(key=lambda e: (e.frame in taken, -e.count))
    if found:
        taken.add(found[0].frame)
        yield axis, name, found[0]
