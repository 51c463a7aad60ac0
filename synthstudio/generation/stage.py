"""Resources of a process that renders frames: the body, opened assets, a device.

`prepare` reads a recipe's assets once; its `Settings` travel to workers, each of which opens a
`FrameGenerator`. It also implements a draw's `GeometryQueries`.
"""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthstudio.body import (
    anny,
    capsules,
    face,
    makehuman,
    pose_library,
    poses,
    touching,
    untangle,
    wardrobe,
)
from synthstudio.body.motion import READERS as MOTION_READERS
from synthstudio.body.motion import read as read_motion
from synthstudio.core import hulls
from synthstudio.core.arrays import F32, F64, U8
from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import (
    Catalogue,
    FloorPlan,
    GarmentAsset,
    MotionAsset,
    PatchesSeen,
    Step,
)
from synthstudio.core.errors import DatasetError, DeviceError
from synthstudio.core.images import read_hdr, read_opaque, read_rgba
from synthstudio.core.last_used import FrameCache
from synthstudio.core.photo import PlaceLight
from synthstudio.core.scene import Light, PosedPerson, Scene, Surface
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.spec import OBJECT_BASE, PERSON_BASE, AssetRef, ObjectSpec, PersonSpec
from synthstudio.dataset.manifest import (
    FRAMES_PER_SHARD,
    MANIFEST_NAME,
    AssetRow,
    Identity,
    machine_kind,
    package_versions,
)
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.source import asset_root
from synthstudio.label.visibility import patch_query, subsample_patches
from synthstudio.props import meshes, procedural
from synthstudio.props.assets import (
    AssetTable,
    scan_garments,
    scan_images,
    scan_meshes,
    scan_motions,
    scan_places,
)
from synthstudio.props.photos import place_light
from synthstudio.props.places import PlaceModel, read_place
from synthstudio.recipe.draw import draw_group, draw_moment
from synthstudio.recipe.sampling.check import check
from synthstudio.recipe.schema.load import dump, parse_stored
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.render import bend, points, raster, runtime
from synthstudio.render.pack import pack

FIRST_OBJECT = OBJECT_BASE + 2
"""1,000 is a room's floor and 1,001 its walls; objects of a FrameSpec follow."""
RENDERERS = ("raster", "pyrender")
PHOTOS, IMPORTED = "photos", "imported"
"""Keys of a stored recipe: the occluded photos, the import."""
WELL_APART_M = 0.5
PATCH_STRIDE = 2
"""A draw uses every second point of a joint's patch."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Picklable settings to open a stage in workers. `device` is resolved."""

    recipe: Recipe
    catalogue: Catalogue
    assets: AssetTable
    device: str
    renderer: str


def prepare(
    recipe: Recipe, *, assets: Path, device: str = "auto", renderer: str = "raster"
) -> Settings:
    """Read and check every asset of the recipe below the folder `assets`.

    Raises AssetError for the first file that is invalid, RecipeError for missing
    names, DeviceError for a missing device or renderer.
    """
    if renderer not in RENDERERS:
        known = " or ".join(RENDERERS)
        raise DeviceError("unknown renderer", where="renderer", expected=known, got=renderer)
    folders = recipe.folders

    def scanned(use: str, scan: Callable[..., Any], **options: Any) -> Any:
        return scan(assets, folders[use], **options) if use in folders else ()

    own: tuple[GarmentAsset, ...] = scanned("makehuman", scan_garments, describe=makehuman.describe)
    motion_suffixes = tuple(sorted(MOTION_READERS))
    catalogue = Catalogue(
        poses=pose_library.library(),
        limits_rad=dict(poses.LIMITS_RAD),
        hands=pose_library.hands(),
        meetings=touching.meetings(),
        garments=(*wardrobe.garments(), *(g.kind for g in own if g.kind)),
        makehuman=own,
        expressions=face.EXPRESSIONS,
        objects=procedural.kinds(),
        backgrounds=scanned("backgrounds", scan_images, kind="background"),
        hdris=scanned("hdris", scan_images, kind="hdri"),
        cutouts=scanned("cutouts", scan_images, kind="cutout"),
        meshes=scanned("meshes", scan_meshes),
        places=scanned("places", scan_places),
        motions=scanned("motions", scan_motions, suffixes=motion_suffixes, length=_motion_length),
    )
    check(recipe, catalogue)
    return Settings(
        recipe=recipe,
        catalogue=catalogue,
        assets=AssetTable(root=assets),
        device=runtime.resolve_device(device),  # type: ignore[arg-type]
        renderer=renderer,
    )


def _motion_length(path: Path) -> tuple[int, float]:
    motion = read_motion(path)
    return motion.frames, motion.fps


def prepare_caches(settings: Settings) -> None:
    """Build Anny's cache and Warp's kernels, which workers would otherwise build concurrently."""
    anny.load(settings.recipe.skeleton)
    runtime.compile_all(settings.device)


def assets_of(catalogue: Catalogue) -> tuple[Any, ...]:
    """Files of the recipe's folders; `asset` is the reference of each."""
    return (
        *catalogue.backgrounds, *catalogue.hdris, *catalogue.cutouts, *catalogue.motions,
        *catalogue.meshes, *catalogue.places, *(g for g in catalogue.makehuman if g.kind),
    )  # fmt: skip


def identity_of(settings: Settings, frames_per_shard: int = FRAMES_PER_SHARD) -> Identity:
    """Return the identity (dataset.json) of a run with these settings."""
    recipe, catalogue = settings.recipe, settings.catalogue
    written = dump(recipe)
    del written["frames"]  # may grow; Identity.frames holds it
    ledger = [
        AssetRow(
            sha256=one.asset.sha256,
            name=one.asset.name,
            licence=getattr(one, "licence", ""),
            source=getattr(one, "source", ""),
            category=getattr(one, "category", ""),
        )
        for one in assets_of(catalogue)
    ]
    return Identity(
        recipe=written,
        assets=tuple(sorted(ledger, key=lambda row: row.name)),
        seed=recipe.seed,
        skeleton=recipe.skeleton,
        frames=recipe.frames,
        frames_per_shard=frames_per_shard,
        versions=package_versions(),
        machine={
            **machine_kind(runtime.device_model(settings.device)),
            "renderer": settings.renderer,
        },
    )


def settings_of(dataset: Dataset, *, assets: Path | None = None, device: str = "auto") -> Settings:
    """Return a data set's settings, to re-render its frames.

    `assets`: current root of its asset folders; default: the one in run.log.
    """
    identity = dataset.identity
    if PHOTOS in identity.recipe:
        raise DatasetError(
            "frames of real photos cannot be re-rendered: the set does not contain the photos",
            where=str(dataset.place),
            then="Run synthstudio occlude again: the same photos, annotations and recipe "
            "give the same bytes. synthstudio audit checks the labels without them.",
        )
    if IMPORTED in identity.recipe:
        raise DatasetError(
            "imported frames cannot be re-rendered or audited by rays: the scenes of their "
            "pictures are unknown",
            where=str(dataset.place),
            then="Check the labels with synthstudio validate. For a re-imported export audit the "
            "original data set.",
        )
    return stored_settings(dataset, assets=assets, device=device)


def stored_settings(dataset: Dataset, *, assets: Path | None, device: str) -> Settings:
    """As `settings_of`, also of photos; RecipeError if damaged or of an older format."""
    identity = dataset.identity
    kept = {k: v for k, v in identity.recipe.items() if k != PHOTOS}
    fields, version = {**kept, "frames": identity.frames}, identity.versions.get("synthstudio", "")
    recipe = parse_stored(Recipe, fields, str(dataset.place / MANIFEST_NAME), version)
    root = assets or asset_root(dataset.log()) or dataset.folder
    renderer = identity.machine.get("renderer", "raster")
    return prepare(recipe, assets=root, device=device, renderer=renderer)


class FrameGenerator:
    """Resources of a process that renders frames; implements `GeometryQueries`."""

    def __init__(self, settings: Settings) -> None:
        runtime.init(settings.device)
        self.settings, self.catalogue = settings, settings.catalogue
        for own in self.catalogue.makehuman:
            if own.kind is not None:
                makehuman.register(own.kind.kind, settings.assets.resolve(own.asset))
        self.skeleton = get_skeleton(settings.recipe.skeleton)
        self.body: anny.Body = anny.load(self.skeleton.name)
        body = self.body
        self.drop_m, self.joints_m = body.drop_m, body.joints_m
        self.palms_m, self.skin_m, self.meet = body.palms_m, body.skin_m, body.meet
        self.self_penetrations_m = capsules.self_penetrations_m
        self.resolve_self_intersection = untangle.resolve_self_intersection
        self.photo = self._opened(read_opaque, 32)
        self.cutout = self._opened(read_rgba, 64)
        self.panorama = self._opened(read_hdr, 4)
        self.mesh = self._opened(meshes.load_mesh, 16)
        self.place_model = self._opened(read_place, 2)
        self.motion = self._opened(read_motion, 32)
        recipe = settings.recipe
        moment = functools.lru_cache(2)(lambda number: draw_moment(recipe, number, self))
        self.group = functools.lru_cache(2)(
            lambda number: draw_group(recipe, number, self, moment=moment)
        )
        shared = recipe.variants.per_moment > 1 or recipe.clip is not None
        self.recent = FrameCache(on=shared)
        self._posed = functools.lru_cache(8)(lambda p, i: self.body.posed(p, instance=i))
        self._surfaces = functools.lru_cache(4)(self._standing)
        self._outlines_at_origin = functools.lru_cache(512)(
            lambda item: hulls.hulls(self._surfaces(item))
        )
        self._box_at_origin = functools.lru_cache(512)(
            lambda item: hulls.box_m(self._surfaces(item))
        )

    def _opened(self, read: Callable[[Path], Any], keep: int) -> Callable[[AssetRef], Any]:
        return functools.lru_cache(keep)(lambda ref: read(self.settings.assets.resolve(ref)))

    def floor_plan(self, asset: AssetRef) -> FloorPlan:
        model: PlaceModel = self.place_model(asset)
        return model.plan

    def skin_penetration_m(self, person: PersonSpec) -> float:
        pose = person.pose
        return untangle.deepest_own_m(person.phenotype, dict(pose.angles_rad), pose.turns)

    def triangles_m(self, item: PersonSpec | ObjectSpec) -> F64:
        surfaces = self._surfaces(item)
        return np.concatenate([s.vertices_m[s.faces] for s in surfaces]).astype(np.float64)

    def box_m(self, item: PersonSpec | ObjectSpec) -> F64:
        x, y, _ = item.position_m
        return np.asarray(self._box_at_origin(_at_origin(item)) + np.array([x, y, 0.0]))

    def gap_m(self, a: PersonSpec | ObjectSpec, b: PersonSpec | ObjectSpec) -> float:
        apart = hulls.box_gap_m(self.box_m(a), self.box_m(b))
        if apart > WELL_APART_M:
            return apart
        return max(apart, hulls.gap_m(self._outlines(a), self._outlines(b)))

    def sweep_gap_m(
        self, a: tuple[PersonSpec | ObjectSpec, ...], b: tuple[PersonSpec | ObjectSpec, ...]
    ) -> float:
        ways = [
            [hulls.swept(p, q) for p, q in zip(of, of[1:] or of, strict=False)]
            for of in ([self._outlines(item) for item in way] for way in (a, b))
        ]
        return min(hulls.gap_m(p, q) for p in ways[0] for q in ways[1])

    def steps(
        self,
        person: PersonSpec,
        motion: MotionAsset,
        *,
        times_s: tuple[float, ...],
        mirrored: bool = False,
    ) -> tuple[Step, ...]:
        return self.body.steps(person, self.motion(motion.asset), times_s=times_s, mirror=mirrored)

    def depths_m(self, items: tuple[PersonSpec | ObjectSpec, ...], camera: Camera) -> F32:
        surfaces = tuple(surface for item in items for surface in self._standing(item))
        packed = pack(_bare_scene(camera.pinhole, (), surfaces), device="cpu")
        return bend.bent_map(raster.rasterise(packed).depth_m, camera)

    def patches_seen(
        self, people: tuple[PersonSpec, ...], objects: tuple[ObjectSpec, ...], camera: Camera
    ) -> tuple[PatchesSeen, ...]:
        posed_people = [self._posed(p, PERSON_BASE + i) for i, p in enumerate(people)]
        surfaces = tuple(surface for obj in objects for surface in self._standing(obj))
        packed = pack(_bare_scene(camera.pinhole, tuple(posed_people), surfaces), device="cpu")
        out = []
        for posed in posed_people:
            fewer = subsample_patches(posed, PATCH_STRIDE)
            query = patch_query(camera, fewer)
            found = points.nearest_blockers(
                packed,
                query.points_m.reshape(-1, 3),
                np.full(query.needed.size, posed.instance),
                fewer.patches.part.ravel(),
                needed=query.needed.ravel(),
            )
            instance = found.instance.reshape(query.needed.shape)
            out.append(
                PatchesSeen(
                    px=query.px,
                    depth_m=query.depth_m,
                    weights=query.weights,
                    inside=query.inside,
                    blocker=np.where(instance >= OBJECT_BASE, np.int32(-1), instance),
                    blocker_depth_m=found.depth_m.reshape(query.needed.shape),
                )
            )
        return tuple(out)

    def photo_light(self, asset: AssetRef, box_px: tuple[float, float, float, float]) -> PlaceLight:
        return place_light(self.photo(asset), box_px)

    def _standing(self, item: PersonSpec | ObjectSpec) -> tuple[Surface, ...]:
        if isinstance(item, PersonSpec):
            return self.body.surfaces(item, instance=PERSON_BASE)
        return self.object_surfaces(item, instance=FIRST_OBJECT, first_texture=0)[0]

    def _outlines(self, item: PersonSpec | ObjectSpec) -> hulls.Hulls:
        x, y, _ = item.position_m
        return self._outlines_at_origin(_at_origin(item)).moved(x, y)

    def object_surfaces(
        self, spec: ObjectSpec, *, instance: int, first_texture: int
    ) -> tuple[tuple[Surface, ...], tuple[U8, ...]]:
        if spec.asset is None:
            return procedural.build(spec, instance=instance), ()
        data = self.mesh(spec.asset)
        surfaces = meshes.mesh_surfaces(spec, data, instance=instance, texture_offset=first_texture)
        return surfaces, data.textures


def _bare_scene(
    camera: Camera, people: tuple[PosedPerson, ...], objects: tuple[Surface, ...]
) -> Scene:
    dark = np.zeros(3)
    return Scene(
        camera=camera,
        people=people,
        objects=objects,
        light=Light(sun_direction=dark, sun_rgb=dark, ambient_sh=np.zeros((9, 3))),
        backdrop=np.zeros((camera.height_px, camera.width_px, 3), np.uint8),
        catches_shadow=False,
        supersample=1,
    )


def _at_origin(item: PersonSpec | ObjectSpec) -> PersonSpec | ObjectSpec:
    """The item moved over the origin, as a position-independent cache key."""
    return dataclasses.replace(item, position_m=(0.0, 0.0, item.position_m[2]))
