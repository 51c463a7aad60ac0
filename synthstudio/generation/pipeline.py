"""From a recipe to a data set: the module that joins the stages. Read it first.

    recipe ── draw ──► FrameSpec ── build ──► Scene ── render ──► compose ──► label ──► Frame

`make_frame` replays a FrameSpec into pixels and labels; `generate` does so for a whole run,
shard by shard, in worker processes; `stream` yields frames without writing to disk.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ParamSpec, TypeVar

import numpy as np

from synthstudio.compose import blend, defocus, lens
from synthstudio.compose.floor_shadow import standing_shadow
from synthstudio.core.arrays import F32, U8
from synthstudio.core.camera import Camera
from synthstudio.core.errors import SynthStudioError, WorkerError
from synthstudio.core.images import encode_jpeg, encode_png
from synthstudio.core.labels import Frame, FrameLabels
from synthstudio.core.places import Place
from synthstudio.core.progress import OnProgress
from synthstudio.core.scene import (
    CutoutLayer,
    Light,
    Painter,
    PosedPerson,
    Rendering,
    Scene,
    Surface,
    painted_backdrop,
)
from synthstudio.core.spec import (
    PERSON_BASE,
    CutoutSpec,
    FrameSpec,
    HdriBackdrop,
    PhotoBackdrop,
    PlaceBackdrop,
    RoomBackdrop,
)
from synthstudio.dataset.manifest import FRAMES_PER_SHARD
from synthstudio.dataset.shards import FailedFrame, OnEvent, no_event, rendered_rows
from synthstudio.dataset.writer import Part, open_or_create, shards_of
from synthstudio.generation import moving
from synthstudio.generation.engines import LOCAL, Engine
from synthstudio.generation.shards import Summary, opening, run_shards
from synthstudio.generation.stage import (
    FIRST_OBJECT,
    FrameGenerator,
    Settings,
    identity_of,
    prepare_caches,
)
from synthstudio.label.frame import PersonEvidence, label_frame
from synthstudio.label.visibility import patch_query
from synthstudio.props import backgrounds, cutouts, places, weather
from synthstudio.recipe.draw import draw
from synthstudio.recipe.sampling.check import doubted, left_out
from synthstudio.recipe.sampling.outfits import unusable_garments
from synthstudio.render import bend, light, points, raster, shade
from synthstudio.render.exposure import exposed
from synthstudio.render.pack import Packed, pack

P = ParamSpec("P")
T = TypeVar("T")

DEPTH_UNIT_M = 0.001
"""Depth layers are 16-bit PNG in millimetres; 0 is background or beyond 65 m."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """A FrameSpec turned into geometry."""

    scene: Scene  # before the camera's pinhole
    camera: Camera
    cutouts: tuple[CutoutLayer, ...]
    objects: tuple[tuple[int, str, int | None], ...]  # (instance, kind, held_by instance)
    # (V, 3) m/s of each of the scene's surfaces; None: still
    velocities: tuple[F32 | None, ...] = ()


def build(stage: FrameGenerator, spec: FrameSpec) -> Built:
    """Pose, dress and place the spec's items, reusing those of the last frame."""
    recent = stage.recent
    recent.next_frame()
    people = tuple(
        recent.get(
            ("person", person, i), partial(stage.body.posed, person, instance=PERSON_BASE + i)
        )
        for i, person in enumerate(spec.people)
    )
    goes = moving.people_velocities(stage, spec, people)
    people = moving.skewed_people(spec, people, goes)
    velocities: list[F32 | None] = []
    for i, person in enumerate(people):
        velocities += goes[i].surfaces if i in goes else [None] * len(person.surfaces)
    surfaces: list[Surface] = []
    people, textures = _with_pictures(people)
    if isinstance(spec.backdrop, RoomBackdrop):
        surfaces += backgrounds.room_surfaces(spec.backdrop)
    if isinstance(spec.backdrop, PlaceBackdrop):
        model = stage.place_model(spec.backdrop.asset)
        surfaces += recent.get(
            ("place", spec.backdrop.asset, spec.backdrop.position_m, spec.backdrop.yaw_rad),
            partial(places.place_surfaces, spec.backdrop, model, texture_offset=0),
        )
        textures += model.mesh.textures
    first = {s.instance: s.name for s in reversed(surfaces)}  # a ceiling counts as walls
    named: list[tuple[int, str, int | None]] = [(k, first[k], None) for k in sorted(first)]
    velocities += [None] * len(surfaces)
    for i, obj in enumerate(spec.objects):
        made, brought = recent.get(
            ("object", obj, i, len(textures)),
            partial(
                stage.object_surfaces, obj, instance=FIRST_OBJECT + i, first_texture=len(textures)
            ),
        )
        carried = moving.held_velocities(stage, spec, i, made) if goes else None
        velocities += [None] * len(made) if carried is None else carried
        surfaces += moving.skewed_objects(spec, made, carried)
        textures += brought
        held_by = None if obj.held_by is None else PERSON_BASE + obj.held_by
        kind = obj.kind if obj.asset is None else obj.asset.name
        named.append((FIRST_OBJECT + i, kind, held_by))
    first_cutout = FIRST_OBJECT + len(spec.objects)
    lit = recent.get(("light", spec.backdrop, spec.light), partial(_light, stage, spec))
    layers = tuple(
        _cutout(stage, spec, c, lit, instance=first_cutout + i) for i, c in enumerate(spec.cutouts)
    )
    named += [(first_cutout + i, c.kind, None) for i, c in enumerate(spec.cutouts)]
    for instance, item in enumerate(spec.weather, first_cutout + len(spec.cutouts)):
        layers += tuple(weather.weather_layers(spec, item, instance=instance))
        named.append((instance, item.kind, None))
    backdrop = recent.get(
        ("backdrop", spec.backdrop, spec.light.exposure, spec.light.sun_direction, spec.camera),
        partial(_backdrop, stage, spec),
    )
    scene = Scene(
        camera=spec.camera.pinhole,
        people=people,
        objects=tuple(surfaces),
        light=lit,
        backdrop=backdrop,
        textures=tuple(textures),
        catches_shadow=not isinstance(spec.backdrop, RoomBackdrop | PlaceBackdrop),
        supersample=spec.supersample,
        shadow_box_m=None if spec.shadow_box_m is None else np.array(spec.shadow_box_m),
    )
    if goes:  # rendered at several times
        scene = replace(scene, backdrop=painted_backdrop(scene))
    return Built(
        scene=scene,
        camera=spec.camera,
        cutouts=layers,
        objects=tuple(named),
        velocities=tuple(velocities) if goes else (),
    )


def _cutout(
    stage: FrameGenerator, spec: FrameSpec, cutout: CutoutSpec, lit: Light, *, instance: int
) -> CutoutLayer:
    """The layer of a cut-out, with its shadow if it stands."""
    rgba, size = stage.cutout(cutout.asset), (spec.camera.width_px, spec.camera.height_px)
    layer = cutouts.cutout_layer(cutout, rgba, instance=instance, frame_wh=size)
    if not cutout.stands:
        return layer
    alpha, share = cutouts.shown_part(cutout, rgba)[..., 3], light.floor_sun_share(lit)
    shadow = standing_shadow(cutout, alpha, spec.camera, sun=lit.sun_direction, sun_share=share)
    return replace(layer, shadow=shadow)


def _with_pictures(
    people: tuple[PosedPerson, ...],
) -> tuple[tuple[PosedPerson, ...], list[U8]]:
    """The people with textures numbered as in the scene, and the textures."""
    textures: list[U8] = []
    out = []
    for person in people:
        first = len(textures)
        surfaces = tuple(
            replace(s, material=replace(s.material, texture=first + s.material.texture))
            if s.material.texture >= 0
            else s
            for s in person.surfaces
        )
        out.append(replace(person, surfaces=surfaces) if person.pictures else person)
        textures += person.pictures
    return tuple(out), textures


def _light(stage: FrameGenerator, spec: FrameSpec) -> Light:
    behind, lamp = spec.backdrop, spec.light
    if isinstance(behind, HdriBackdrop):
        radiance = stage.panorama(behind.asset)
        exposure = lamp.exposure * backgrounds.panorama_gain(radiance) * behind.gain
        lit = light.light_from_panorama(radiance, yaw_rad=behind.yaw_rad, exposure=exposure)
        return replace(lit, occlusion=lamp.occlusion)
    return light.light_from_spec(lamp)


def _backdrop(stage: FrameGenerator, spec: FrameSpec) -> U8 | Painter:
    behind, exposure, camera = spec.backdrop, spec.light.exposure, spec.camera.pinhole
    if isinstance(behind, HdriBackdrop):
        radiance = stage.panorama(behind.asset)
        gained = exposure * backgrounds.panorama_gain(radiance)
        return backgrounds.panorama_backdrop(behind, radiance, camera, exposure=gained)
    if isinstance(behind, PhotoBackdrop):
        return backgrounds.photo_backdrop(behind, stage.photo(behind.asset), camera)
    if isinstance(behind, RoomBackdrop | PlaceBackdrop):
        return backgrounds.sky_backdrop(behind, spec.light.sun_direction, camera, exposure=exposure)
    return backgrounds.plain_backdrop(behind, camera)


def make_frame(stage: FrameGenerator, spec: FrameSpec, *, layers: Sequence[str] = ()) -> Frame:
    """Replay a spec into pixels and labels: deterministic."""
    took: dict[str, float] = {}

    def timed(name: str, work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        start = time.perf_counter()
        made = work(*args, **options)
        took[name] = (time.perf_counter() - start) * 1e3
        return made

    built = timed("build", build, stage, spec)
    packed = timed("pack", pack, built.scene, device=stage.settings.device)
    want = frozenset({"normal"} if "normals" in layers else ())
    still = timed("render", RENDERERS[stage.settings.renderer], packed, built.scene, want)
    rendering, seen = timed("compose", _through_lens, still, spec, built)
    seen = timed("exposure", _exposed, stage, spec, built, still, seen)
    seen = timed("develop", lens.develop, seen, spec.lens)
    jpeg = timed("jpeg", encode_jpeg, seen, spec.lens.jpeg_quality)
    labels = timed("label", decide_labels, stage, spec, built, packed, rendering)
    pngs = timed("layers", lambda: {n: encode_png(LAYERS[n](rendering)) for n in layers})
    return Frame(spec=spec, jpeg=jpeg, labels=labels, layers=pngs, timings_ms=took)


def _through_lens(rendering: Rendering, spec: FrameSpec, built: Built) -> tuple[Rendering, U8]:
    """The rendering through the lens, cut-outs over it, and its picture in focus."""
    rendering = blend.over(bend.bent(rendering, spec.camera), built.cutouts)
    circles = defocus.out_of_focus(rendering.depth_m, built.scene.people, spec)
    seen = rendering.rgb if circles is None else defocus.defocused(rendering.rgb, circles)
    return rendering, seen


def _exposed(
    stage: FrameGenerator, spec: FrameSpec, built: Built, still: Rendering, seen: U8
) -> U8:
    """`seen`, the picture at mid-exposure, with motion blur of moving people.

    Focus and cut-outs apply at each time; distortion may be applied to the mean.
    """
    scene, seconds = built.scene, spec.lens.exposure_s
    apart = spec.lens.aperture_m > 0 or bool(built.cutouts)
    if not built.velocities or seconds <= 0:
        return seen

    def draw(now: Scene) -> U8:
        packed = pack(now, device=stage.settings.device)
        found = RENDERERS[stage.settings.renderer](packed, now, frozenset())
        assert now.window_px is not None
        x0, y0, x1, y1 = now.window_px
        rgb = still.rgb.copy()
        rgb[y0:y1, x0:x1] = found.rgb[y0:y1, x0:x1]
        return _through_lens(replace(found, rgb=rgb), spec, built)[1] if apart else rgb

    middle = seen if apart else still.rgb
    blurred = exposed(middle, scene, built.velocities, seconds, draw)
    if blurred is None:
        return seen
    return blurred if apart else _through_lens(replace(still, rgb=blurred), spec, built)[1]


def decide_labels(
    stage: FrameGenerator, spec: FrameSpec, built: Built, packed: Packed, rendering: Rendering
) -> FrameLabels:
    """Query the blockers of each person's points, then decide the labels."""
    people = built.scene.people
    queries = [patch_query(spec.camera, person) for person in people]
    needed = np.array([query.needed for query in queries], np.bool_)
    found = points.nearest_blockers(
        packed,
        np.array([query.points_m for query in queries], np.float64).reshape(-1, 3),
        np.repeat(np.array([p.instance for p in people], np.int32), needed[:1].size),
        np.array([p.patches.part for p in people], np.uint8).ravel(),
        needed=needed.ravel(),
    )
    evidence = []
    for i, (query, person) in enumerate(zip(queries, people, strict=True)):
        mine = slice(i * query.needed.size, (i + 1) * query.needed.size)
        alone = bend.alone(packed, person.instance, spec.camera)
        evidence.append(
            PersonEvidence(
                spec=spec.people[i],
                posed=person,
                query=query,
                blocker_instance=found.instance[mine].reshape(query.needed.shape),
                blocker_depth_m=found.depth_m[mine].reshape(query.needed.shape),
                amodal=alone.mask,
                amodal_extent_px=alone.extent_px,
                outside_share=alone.outside_share,
                depth_m=float(np.median(alone.depth_m if alone.depth_m.size else query.depth_m)),
            )
        )
    return label_frame(
        spec.camera,
        stage.skeleton,
        people=tuple(evidence),
        instance_map=rendering.instance,
        cutouts=built.cutouts,
        objects=built.objects,
    )


def draw_spec(stage: FrameGenerator, index: int) -> FrameSpec:
    """Make every random choice of frame `index`; frames of a moment are drawn together, once."""
    return draw(stage.settings.recipe, index, stage, group=stage.group)


def stream(settings: Settings, *, start: int = 0) -> Iterator[Frame]:
    """Yield the recipe's frames from `start`, without writing to disk."""
    stage = FrameGenerator(settings)
    for index in range(start, settings.recipe.frames):
        yield make_frame(stage, draw_spec(stage, index), layers=settings.recipe.layers)


def generate(  # noqa: PLR0913 - the options of one command
    settings: Settings,
    out: Place,
    *,
    workers: int = 1,
    resume: bool = False,
    allow_mixed: bool = False,
    part: Part | None = None,
    skip_failed: bool = False,
    frames_per_shard: int = FRAMES_PER_SHARD,
    engine: Engine = LOCAL,
    on_progress: OnProgress | None = None,
    on_event: OnEvent = no_event,
    on_note: OnEvent = no_event,
) -> Summary:
    """Make the data set of `settings.recipe` in the folder or at the URL `out`, or complete it.

    The bytes depend on the recipe, its seed and the machine kind: not on `workers`, nor on how
    often the run was interrupted, nor on the parts. Raises SynthStudioError;
    complete shards are always kept. `on_note` first receives the unused files, and
    what looks wrong.
    """
    started = time.monotonic()
    notes = left_out(settings.recipe, settings.catalogue)
    notes += doubted(settings.catalogue)
    notes += unusable_garments(settings.recipe, settings.catalogue.garments)
    for note in notes:
        on_note(note)
    prepare_caches(settings)
    identity = identity_of(settings, frames_per_shard)
    with open_or_create(
        out, identity, resume=resume, allow_mixed=allow_mixed, part=part, on_event=on_event
    ) as session:
        if part is not None and not shards_of(identity, part):
            on_note(
                f"part {part[0]}/{part[1]} holds no frames: parts are of whole shards "
                f"({frames_per_shard} frames). Use at most {identity.shards} parts"
            )
        session.log("assets", root=str(settings.assets.root.resolve()), left_out=list(notes))
        return run_shards(
            session,
            partial(_tried_twice, skip_failed),
            rendered_rows,
            initializer=opening(engine, FrameGenerator, settings),
            workers=workers,
            engine=engine,
            on_progress=on_progress,
            started=started,
        )


def _tried_twice(skip_failed: bool, stage: FrameGenerator, index: int) -> Frame | FailedFrame:
    """Make a frame; a second failure is recorded, or stops the run with the frame's index."""

    def made() -> Frame:
        return make_frame(stage, draw_spec(stage, index), layers=stage.settings.recipe.layers)

    with suppress(Exception):
        return made()
    try:
        return made()
    except Exception as error:
        if skip_failed:
            return FailedFrame(index=index, error=type(error).__name__)
        if isinstance(error, SynthStudioError):
            raise type(error)(f"frame {index}: {error.with_options}") from error
        raise WorkerError(
            f"failed twice with {type(error).__name__}: {error}",
            where=f"frame {index}",
            then="This is a bug: please report it with the recipe. "
            "--skip-failed leaves such frames out and records them.",
        ) from error


def _with_pyrender(packed: Packed, scene: Scene, want: frozenset[str]) -> Rendering:
    from synthstudio.render import pyrender_backend

    # Only the colours are pyrender's: maps and labels always come from the exact rasteriser.
    rgb = pyrender_backend.render(scene).rgb
    return shade.rendering_of(packed, raster.rasterise(packed), rgb, want)


RENDERERS: dict[str, Callable[[Packed, Scene, frozenset[str]], Rendering]] = {
    "raster": lambda packed, scene, want: shade.render(packed, scene, want=want),
    "pyrender": _with_pyrender,
}


def _depth_png(rendering: Rendering) -> Any:
    steps = np.rint(np.where(np.isfinite(rendering.depth_m), rendering.depth_m, 0) / DEPTH_UNIT_M)
    return np.where(steps <= 65535, steps, 0).astype(np.uint16)


def _normal_png(rendering: Rendering) -> U8:
    assert rendering.normal is not None  # requested in make_frame
    return np.asarray(np.rint((rendering.normal + 1) * 127.5), np.uint8)


LAYERS: dict[str, Callable[[Rendering], Any]] = {
    "depth": _depth_png,
    "instance": lambda rendering: rendering.instance.astype(np.uint16),
    "part": lambda rendering: rendering.part,
    "normals": _normal_png,
}
"""Name in the recipe -> the array that its PNG holds."""
