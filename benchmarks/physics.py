"""Is what a recipe draws physical? `python -m benchmarks.physics SCENE --frames N`.

Frames are drawn and posed, not rendered. Of each it is asked, by ways of its own (benchmarks.touch:
Warp's signed distance to closed meshes, not the hulls and capsules that the draw asks):
  through   people of whom a part lies more than 2 cm inside another person or an object, or of
            whom an object lies so deep inside. Clothes do not count: the bare bodies are compared.
            Hands and forearms may close about what they hold, trunk and thighs sink into what
            they sit or lean on by `SEAT_M`, all parts into a bed; others count there too.
  itself    people of whom a part lies more than 2 cm inside another part of them (which pairs are
            asked: benchmarks.touch).
  floating  people whose pose stands on its feet, and the lowest of both is more than 2 cm from
            the floor. People who move (PoseSpec.turns) are not asked.
  beyond    people with a joint angle outside its limits.
  hanging   objects whose lowest point is more than 2 cm from the floor and that nobody holds;
            scenery is not asked: doors, pictures and switches are at walls.
The exit status is 1 if more than 1 % of people are through something or themselves, or float, or
if any joint is beyond its limits or any object hangs in the air.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks import proofs, touch
from benchmarks.joint_angles import limit_excess_rad
from synthstudio.body.atlas import bare_body, load_atlas
from synthstudio.body.pose_library import library
from synthstudio.body.poses import LIMITS_RAD
from synthstudio.core.arrays import F64, I32, Bool
from synthstudio.core.scene import PARTS, Surface
from synthstudio.core.skeleton import JOINTS
from synthstudio.core.spec import PERSON_BASE, FrameSpec, ObjectSpec, PersonSpec
from synthstudio.generation import pipeline
from synthstudio.generation.stage import FIRST_OBJECT, FrameGenerator
from synthstudio.recipe.sampling.pose_jitter import RANDOM

SOFT_M = touch.SOFT_M
SEAT_M = 0.06
FLOOR_M = 0.02
HELD_M = 0.05
GOAL = 0.01
_LIMIT_RAD = 1e-6
_STEP_M = 0.02
_HOLDING = ("hand", "forearm")
_SITTING = ("torso", "pelvis", "thigh", "upper_arm", "forearm", "hand")


@dataclass
class Report:
    """What was asked and found; findings are lines for people."""

    frames: int = 0
    people: int = 0
    objects: int = 0
    moving: int = 0
    standing: int = 0
    through: int = 0
    itself: int = 0
    floating: int = 0
    beyond: int = 0
    hanging: int = 0
    deepest_m: float = 0.0
    deepest_itself_m: float = 0.0
    findings: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Return whether the goals hold."""
        few = max(self.through, self.itself) <= GOAL * self.people
        return (
            few and self.floating <= GOAL * self.standing and self.beyond == 0 and self.hanging == 0
        )

    def text(self) -> str:
        """Return the report as lines."""

        def share(part: int, whole: int) -> str:
            return f"{part} of {whole} ({part / max(whole, 1):.2%})"

        lines = [
            f"frames {self.frames}, people {self.people} ({self.moving} moving), "
            f"objects {self.objects}",
            f"through something by more than 2 cm: {share(self.through, self.people)}, "
            f"deepest {100 * self.deepest_m:.1f} cm",
            f"into themselves by more than 2 cm: {share(self.itself, self.people)}, "
            f"deepest {100 * self.deepest_itself_m:.1f} cm",
            f"feet off the floor: {share(self.floating, self.standing)}",
            f"joints beyond their limits: {self.beyond}; objects in the air: {self.hanging}",
        ]
        return "\n".join([*lines, *(f"  {finding}" for finding in self.findings)])


@dataclass(frozen=True, kw_only=True, eq=False)
class Bare:
    """A person's bare body in the world."""

    vertices_m: F64  # (V, 3)
    box_m: F64  # (2, 3)


@dataclass(frozen=True, kw_only=True, eq=False)
class Solid:
    """An object: points on its surface, and its closed pieces."""

    points_m: F64
    pieces: tuple[tuple[F64, I32], ...]
    box_m: F64


def bare(person: PersonSpec) -> Bare:
    """Return the bare body where the spec puts it."""
    body = bare_body(load_atlas(), person.phenotype, person.pose.angles_rad, person.pose.turns)
    c, s = np.cos(person.yaw_rad), np.sin(person.yaw_rad)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    vertices = body.vertices_m.astype(np.float64) @ turn.T + np.array(person.position_m)
    own = vertices[np.unique(touch.skin())]
    return Bare(vertices_m=vertices, box_m=np.stack([own.min(axis=0), own.max(axis=0)]))


def solid(surfaces: Iterable[Surface]) -> Solid:
    """An object's points, at most `_STEP_M` apart, and those of its closed pieces."""
    points, pieces = [], []
    for surface in surfaces:
        vertices = surface.vertices_m.astype(np.float64)
        points.append(_points(vertices[surface.faces]))
        pieces += list(_closed_pieces(vertices, surface.faces))
    every = np.concatenate(points)
    box = np.stack([every.min(axis=0), every.max(axis=0)])
    return Solid(points_m=every, pieces=tuple(pieces), box_m=box)


def _points(corners: F64) -> F64:
    """Return points on triangles (F, 3, 3), their corners and in between."""
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    steps = np.clip(np.ceil(longest / _STEP_M), 1, 200).astype(int)
    out = []
    for count in np.unique(steps):
        i, j = np.meshgrid(np.arange(count + 1), np.arange(count + 1))
        inside = i + j <= count
        a, b = i[inside] / count, j[inside] / count
        fractions = np.stack([1 - a - b, a, b], axis=1)
        out.append(np.einsum("nk,fkc->fnc", fractions, corners[steps == count]).reshape(-1, 3))
    return np.concatenate(out)


def _closed_pieces(vertices: F64, faces: I32) -> Iterator[tuple[F64, I32]]:
    """Yield the connected pieces without a rim, corners at one place taken as one."""
    places, own = np.unique(np.round(vertices, 6), axis=0, return_inverse=True)
    welded = own.reshape(-1)[faces]
    welded = welded[(welded != np.roll(welded, 1, axis=1)).all(axis=1)]
    group = touch.pieces(welded, len(places))
    for number in np.unique(group):
        piece = welded[group == number]
        if len(touch.closed(piece, len(places))[1]) == 0:
            used, small = np.unique(piece, return_inverse=True)
            yield places[used], small.reshape(-1, 3).astype(np.int32)


def _meet(a: F64, b: F64) -> bool:
    return bool((a[0] < b[1]).all() and (b[0] < a[1]).all())


def body_in_body_m(a: Bare, b: Bare) -> float:
    """Return how deep one of two people lies inside the other."""
    if not _meet(a.box_m, b.box_m):
        return 0.0
    own = np.unique(touch.skin())
    return max(
        float(touch.depth_in_body_m(x.vertices_m[own], y.vertices_m).max(initial=0.0))
        for x, y in ((a, b), (b, a))
    )


def body_and_object_m(person: Bare, obj: Solid, parts: Bool) -> float:
    """Return how deep an object and a body lie in each other, where the body is of some parts.

    `parts` (len(PARTS),) are the body parts that are asked.
    """
    if not _meet(person.box_m, obj.box_m):
        return 0.0
    atlas = load_atlas()
    own = np.unique(touch.skin())
    own = own[parts[atlas.vertex_part[own]]]
    deepest = max(
        (
            float(touch.depths_m(person.vertices_m[own], *piece).max(initial=0.0))
            for piece in obj.pieces
        ),
        default=0.0,
    )
    near = ((obj.points_m > person.box_m[0]) & (obj.points_m < person.box_m[1])).all(axis=1)
    points = obj.points_m[near]
    depth = touch.depth_in_body_m(points, person.vertices_m)
    for k in np.flatnonzero(depth > deepest):
        nearest = np.linalg.norm(person.vertices_m[own] - points[k], axis=1).min(initial=np.inf)
        if nearest < depth[k] + _STEP_M:  # the skin it went through is of an asked part
            deepest = max(deepest, float(depth[k]))
    return deepest


def check_frame(stage: FrameGenerator, spec: FrameSpec, report: Report) -> None:
    """Ask everything of one frame and add it to the report."""
    bodies = [bare(person) for person in spec.people]
    solids = [
        solid(stage.object_surfaces(obj, instance=FIRST_OBJECT, first_texture=0)[0])
        for obj in spec.objects
    ]
    users = [_user(obj, k, spec, bodies, solids) for k, obj in enumerate(spec.objects)]
    report.frames += 1
    report.people += len(bodies)
    report.objects += len(solids)
    for place, person in enumerate(spec.people):
        where = f"frame {spec.index}, person {place + 1} ({person.pose.name})"
        output = [*_through(place, spec, bodies, solids, users, report)]
        report.through += bool(output)
        report.findings += [f"{where}: {line}" for line in output]
        a, b, depth = itself_m(person)
        report.deepest_itself_m = max(report.deepest_itself_m, depth)
        if depth > SOFT_M:
            report.itself += 1
            report.findings.append(f"{where}: {a} {100 * depth:.1f} cm in {b}")
        excess = beyond_rad(person)
        if excess > _LIMIT_RAD:
            report.beyond += 1
            report.findings.append(f"{where}: a joint {np.degrees(excess):.1f} degrees beyond")
        report.moving += bool(person.pose.turns)
        if stands(person):
            report.standing += 1
            off = sole_m(stage, person)
            if abs(off) > FLOOR_M:
                report.floating += 1
                report.findings.append(f"{where}: feet {100 * off:.1f} cm from the floor")
    for k, (obj, one) in enumerate(zip(spec.objects, solids, strict=True)):
        if hangs(obj, one, bodies):
            report.hanging += 1
            low = one.box_m[0, 2]
            report.findings.append(f"frame {spec.index}, object {k} ({obj.kind}): {low:.2f} m up")


def _through(
    place: int,
    spec: FrameSpec,
    bodies: list[Bare],
    solids: list[Solid],
    users: list[int | None],
    report: Report,
) -> Iterator[str]:
    """Yield what a person goes through."""
    for other in range(len(bodies)):
        if other != place:
            depth = body_in_body_m(bodies[place], bodies[other])
            report.deepest_m = max(report.deepest_m, depth)
            if depth > SOFT_M:
                yield f"{100 * depth:.1f} cm in person {other + 1}"
    every = np.ones(len(PARTS), bool)
    for k, (obj, one) in enumerate(zip(spec.objects, solids, strict=True)):
        soft = _soft(obj) if users[k] == place else ~every
        depth = body_and_object_m(bodies[place], one, every & ~soft)
        maximum = SOFT_M
        if depth <= SOFT_M and soft.any() and obj.held_by is None:
            depth, maximum = body_and_object_m(bodies[place], one, soft), SEAT_M
        report.deepest_m = max(report.deepest_m, depth)
        if depth > maximum:
            yield f"{100 * depth:.1f} cm in object {k} ({obj.kind}, {obj.role})"


def _soft(obj: ObjectSpec) -> Bool:
    """Return (len(PARTS),) the parts that may press on an object of one's own."""
    ends = _HOLDING if obj.role == "held" else _SITTING
    return np.array(["mattress_m" in obj.shape or part.endswith(ends) for part in PARTS])


def _user(
    obj: ObjectSpec, k: int, spec: FrameSpec, bodies: list[Bare], solids: list[Solid]
) -> int | None:
    """Return who holds, sits or leans on an object: a seat's is whose hips are nearest."""
    if obj.held_by is not None:
        return obj.held_by
    if obj.role not in ("seat", "support") or not bodies:
        return None
    hips = np.isin(load_atlas().vertex_part, PARTS.index("pelvis"))
    middle = solids[k].box_m[:, :2].mean(axis=0)
    away = [np.linalg.norm(b.vertices_m[hips][:, :2].mean(axis=0) - middle) for b in bodies]
    return int(np.argmin(away))


def itself_m(person: PersonSpec) -> tuple[str, str, float]:
    """Return the part that lies deepest in another part of the same person, that one, metres."""
    body = bare_body(load_atlas(), person.phenotype, person.pose.angles_rad, person.pose.turns)
    return max(touch.self_touches(body, JOINTS), key=lambda found: found[2], default=("", "", 0.0))


def beyond_rad(person: PersonSpec) -> float:
    """Return how far the worst joint is beyond its limits, for angles and for turns."""
    angles = person.pose.angles_rad.items()
    worst = max(
        (max(LIMITS_RAD[n][0] - v, v - LIMITS_RAD[n][1], 0.0) for n, v in angles), default=0
    )
    rotated = limit_excess_rad(person.pose.turns) if person.pose.turns else 0.0
    return max(float(worst), float(rotated))


def stands(person: PersonSpec) -> bool:
    """Return whether the pose, or the one that its legs are of, is on its feet.

    Motions and random poses are of no key: the one moves, the other may be in the air.
    """
    if person.pose.turns or person.pose.family == RANDOM:
        return False
    keys = {key.name: key for key in library()}
    return keys[person.pose.name.partition("+")[0]].stands


def sole_m(stage: FrameGenerator, person: PersonSpec) -> float:
    """Return the height of the lowest vertex of shoes and feet."""
    bits = sum(1 << PARTS.index(f"{side}_foot") for side in ("left", "right"))
    feet = [PARTS.index(f"{side}_foot") for side in ("left", "right")]
    lowest = np.inf
    for surface in stage.body.posed(person, instance=PERSON_BASE).surfaces:
        own = np.ones(len(surface.faces), bool) if surface.drawn is None else surface.drawn.copy()
        covers = np.zeros(len(own), bool)
        if surface.covers is not None:
            covers = (surface.covers & np.uint32(bits)) != 0
        if surface.part is not None:
            covers |= np.isin(surface.part, feet)
        used = surface.faces[own & covers]
        lowest = min(lowest, float(surface.vertices_m[used, 2].min(initial=np.inf)))
    return lowest


def hangs(obj: ObjectSpec, one: Solid, bodies: list[Bare]) -> bool:
    """Return whether an object neither stands on the floor nor is at its holder's body."""
    if abs(one.box_m[0, 2]) <= FLOOR_M or obj.role == "scenery":
        return False
    if obj.held_by is None:
        return True
    vertices = bodies[obj.held_by].vertices_m[np.unique(touch.skin())]
    close = one.points_m[:: max(1, len(one.points_m) // 4000)]
    return bool(min(np.linalg.norm(vertices - p, axis=1).min() for p in close) > HELD_M)


def check(stage: FrameGenerator, specs: Iterable[FrameSpec]) -> Report:
    """The report over frames."""
    report = Report()
    for spec in specs:
        check_frame(stage, spec, report)
    return report


def added(a: Report, b: Report) -> Report:
    """Return both reports as one."""
    one, two = vars(a), vars(b)
    deepest = {name: max(one[name], two[name]) for name in one if name.startswith("deepest")}
    return Report(**{name: one[name] + two[name] for name in one} | deepest)


def main() -> int:
    """Check a scene's frames; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--assets", type=Path, default=proofs.ROOT.parent / "shared" / "data")
    arguments = parser.parse_args()
    assets = arguments.assets if arguments.assets.is_dir() else arguments.scene.parent
    frames = arguments.frames
    stage = FrameGenerator(proofs.settings_for(arguments.scene, assets=assets, frames=frames))
    report = check(stage, (pipeline.draw_spec(stage, index) for index in range(frames)))
    print(f"{arguments.scene.name}\n{report.text()}")
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
