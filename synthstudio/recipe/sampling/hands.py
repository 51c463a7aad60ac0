"""Hands that take another shape than their pose's, where the pose leaves them free."""

from __future__ import annotations

from synthstudio.core.rng import Generator
from synthstudio.recipe.sampling.choose import Draw


def other_hands(
    draw: Draw, angles_rad: dict[str, float], free: tuple[str, ...], rng: Generator
) -> dict[str, float]:
    """Return the angles with each free hand (left, right) in another shape as often as asked."""
    wants, shapes = draw.recipe.people.poses.hands, draw.catalogue.hands
    out = dict(angles_rad)
    for side in ("left", "right"):
        changes, which = rng.random(2)
        if changes >= wants or side not in free or not shapes:
            continue
        shape = shapes[sorted(shapes)[int(which * len(shapes))]]
        hand = {name for one in shapes.values() for name in one}
        out = {k: v for k, v in out.items() if k.removeprefix(f"{side}_") not in hand}
        out |= {f"{side}_{name}": value for name, value in shape.items()}
    return out
