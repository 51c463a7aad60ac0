"""The recipe: the specification of the frames to generate. See scenes/README.md.

Every field has a unit in its name, a default, limits and a description, from which the JSON
Schema for editors is made.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from synthstudio.core.rng import named
from synthstudio.core.skeleton import SKELETONS
from synthstudio.recipe.schema.distributions import (
    Base,
    Number,
    Real,
    Weight,
    Whole,
    Within,
    bell,
    support,
    weighted,
)
from synthstudio.recipe.schema.people import Occlude, People, Quotas, Targets
from synthstudio.recipe.schema.scene import (
    Backdrop,
    Cutouts,
    Folder,
    Lens,
    Light,
    MeshObjects,
    Mix,
    Objects,
    Photo,
    Place,
    Plain,
    Probability,
    Share,
    Weather,
    Weights,
)

Layer = Literal["depth", "instance", "part", "normals"]


class Image(Base):
    """The picture's size."""

    width_px: Annotated[Whole, Field(ge=64, le=4096)] = 640
    """Width."""
    height_px: Annotated[Whole, Field(ge=64, le=4096)] = 480
    """Height."""
    supersample: Annotated[Whole, Field(ge=1, le=4)] = 2
    """Samples along each side of a pixel, for smooth edges."""


class Camera(Base):
    """Camera pose and view. A photo's sidecar has priority."""

    distance_m: Annotated[Number, Within(0.6, 60)] = (3.0, 5.5)
    """From the middle of the group, along the floor."""
    height_m: Annotated[Number, Within(0.1, 20)] = (1.0, 1.8)
    """Above the floor."""
    vertical_fov_deg: Annotated[Number, Within(10, 110)] = (35, 55)
    """Vertical field of view."""
    aim_height_m: Annotated[Number, Within(-1, 4)] = (0.7, 1.1)
    """Height above the floor of its aim at the group."""
    pitch_deg: Annotated[Number, Within(-85, 60)] | None = None
    """Looks up (+) or down (-); null: aims at aim_height_m."""
    off_centre: Annotated[Number, Within(-0.6, 0.6)] = bell(0, 0.08, -0.25, 0.25)
    """The group's offset from the middle, as a share of the picture's width."""
    roll_deg: Annotated[Number, Within(-45, 45)] = bell(0, 1.5, -6, 6)
    """Tilt of the horizon."""


class Splits(Base):
    """Shares of the three splits; their sum is 1."""

    train: Probability = 0.8
    """Training."""
    val: Probability = 0.1
    """Validation: model selection."""
    test: Probability = 0.1
    """Test."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            values = f"{self.train:g}, {self.val:g} and {self.test:g}"
            raise ValueError(f"train + val + test must be 1; {values} are {total:g}")
        return self


class Holdout(Base):
    """Excluded from training frames."""

    poses: tuple[str, ...] = ()
    """Poses, whole families of poses, or motions."""
    occluders: tuple[str, ...] = ()
    """Kinds of objects, categories of cut-outs, names of mesh files."""
    backgrounds: tuple[str, ...] = ()
    """Names of photos and panoramas, with or without folder and ending."""
    identities: Annotated[Whole, Field(ge=0, le=100_000)] = 0
    """Number of people, the last of the identities."""
    share: Probability = 0.5
    """How often val and test frames draw a held-out one."""


# Motions, clips and variants of a moment ------------------------------------------------------

Move = Literal["fixed", "pan", "follow", "dolly", "handheld"]
FAMILY = "motion"
"""The pose family of people with motions."""

MoveWeights = Annotated[dict[Move, Weight], Field(min_length=1), AfterValidator(weighted)]


class Motion(Base):
    """Recorded motions (BVH, AMASS) from which people take their poses."""

    folder: Folder
    """Their folder, below the asset root."""
    share: Probability = 1.0
    """How often people move; others take a pose of people.poses."""
    names: Weights | None = None
    """Files without suffix and their weights; null: equal weights."""
    mirror: Probability = 0.5
    """How often left and right are swapped."""


class Clip(Base):
    """Each moment is rendered as a sequence: the same people, clothes, place and light."""

    frames: Annotated[Whole, Field(ge=2, le=10_000)] = 24
    """Frames of a clip; they are consecutive in the data set."""
    fps: Annotated[Real, Field(ge=0.5, le=240)] = 12.0
    """Frames a second. Motions shorter than the clip are left out."""
    camera: Move | MoveWeights = "fixed"
    """fixed; pan: turns after moving people; follow: moves along with them; dolly: moves
    towards the people or away; handheld: sways. One, or several with weights."""
    dolly_m: Annotated[Number, Within(-20, 20)] = (-1.0, 1.5)
    """Distance of a dolly in a clip; + towards the people."""
    sway_deg: Annotated[Number, Within(0, 10)] = (0.3, 1.2)
    """How far a handheld camera sways to each side."""

    @property
    def seconds(self) -> float:
        """The time from the first frame of a clip to its last."""
        return (self.frames - 1) / self.fps

    @property
    def moves(self) -> dict[Move, float]:
        named = {self.camera: 1.0} if isinstance(self.camera, str) else self.camera
        return {move: weight for move, weight in named.items() if weight > 0}

    def check(self, backdrops: list[str]) -> None:
        """Raise ValueError for a moving camera with a backdrop that does not support it."""
        for kind, able in (
            ("photo", {"fixed"}),
            ("place", {"fixed"}),
            ("hdri", {"fixed", "pan", "handheld"}),
        ):
            moves = set(self.moves) - able
            if kind in backdrops and moves:
                raise ValueError(
                    f"clip.camera: {', '.join(sorted(moves))} before a backdrop of kind {kind}; "
                    f"there it can be {', '.join(sorted(able))}"
                )


# Variants ---------------------------------------------------------------------------------

VariantKind = Literal["clean", "occluder", "appearance", "light", "view"]
KINDS: tuple[VariantKind, ...] = ("clean", "occluder", "appearance", "light", "view")
"""The order of a group's frames after its base."""

Azimuths = Annotated[
    tuple[Annotated[Number, Within(-360, 360)], ...], Field(min_length=1, max_length=16)
]


class Rig(Base):
    """Positions of the further cameras of `variants.view`, around the middle of the people."""

    azimuths_deg: Literal["ring"] | Azimuths = "ring"
    """Azimuth around the people from the first camera, one per view: 90 is the right of the first
    picture, 180 behind. ring: all cameras evenly, including the first."""
    distance_m: Annotated[Number, Within(0.6, 60)] | None = None
    """From the middle of the people, along the floor; null: as the first camera, farther where
    people would be cut off."""
    height_m: Annotated[Number, Within(0.1, 20)] | None = None
    """Above the floor; null: drawn as for the first camera."""
    pitch_deg: Annotated[Number, Within(-85, 60)] | None = None
    """Looks up (+) or down (-); null: aims at camera.aim_height_m."""


class Variants(Base):
    """Further frames of each moment; a group's frames are consecutive.

    A group is: the base, `clean`, then all of `occluder`, `appearance`, `light`, `view`. It is
    wholly in one split. `frames` counts pictures, so a run may end inside a group.
    """

    clean: Annotated[Whole, Field(ge=0, le=1)] = 0
    """Without occluders: objects, held objects, cut-outs."""
    occluder: Annotated[Whole, Field(ge=0, le=16)] = 0
    """With other objects and cut-outs, equal in number and rules."""
    appearance: Annotated[Whole, Field(ge=0, le=16)] = 0
    """With other clothes, skin and hair colours on the same bodies."""
    light: Annotated[Whole, Field(ge=0, le=16)] = 0
    """In another light; a panorama is rotated."""
    view: Annotated[Whole, Field(ge=0, le=16)] = 0
    """Seen by further cameras: see rig. Not with photos as backdrops."""
    rig: Rig = Rig()
    """The further cameras."""

    @property
    def order(self) -> tuple[tuple[VariantKind, int], ...]:
        """Return (kind, number from 0 within its kind) of each frame after the base."""
        return tuple((kind, k) for kind in KINDS for k in range(getattr(self, kind)))

    @property
    def per_moment(self) -> int:
        """Frames of a moment, including the base."""
        return 1 + len(self.order)

    @model_validator(mode="after")
    def _check(self) -> Self:
        azimuths = self.rig.azimuths_deg
        if azimuths != "ring" and self.view not in (0, len(azimuths)):
            raise ValueError(
                f"rig.azimuths_deg: {len(azimuths)} for {self.view} views; name one a view, or ring"
            )
        return self


# The whole ---------------------------------------------------------------------------------


class Recipe(Base):
    """A recipe: distributions from which every frame is drawn."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    """A short name: letters a-z, digits, - and _."""
    description: Annotated[str, Field(max_length=2000)] = ""
    """Its purpose."""
    frames: Annotated[Whole, Field(ge=1, le=10_000_000)] = 24
    """Number of frames."""
    seed: Annotated[Whole, Field(ge=0, le=2**63 - 1)] = 0
    """Random seed; with the frame's index it determines the frame."""
    streams: Annotated[str, Field(max_length=64)] | None = None
    """Recipes with equal seed and streams draw the same people. null: the recipe's name; "": only
    the seed."""
    image: Image = Image()
    """The picture's size."""
    skeleton: Annotated[str, Field(json_schema_extra={"enum": sorted(SKELETONS)})] = "coco23"
    """Which joints are labelled."""
    layers: tuple[Layer, ...] = ()
    """Further images to write: depth, instance, part, normals."""
    splits: Splits = Splits()
    """Train, val and test."""
    holdout: Holdout = Holdout()
    """Excluded from training frames."""
    camera: Camera = Camera()
    """Camera pose and view."""
    people: People = People()
    """People in the frame."""
    motion: Motion | None = None
    """Recorded motions from which people take their poses."""
    clip: Clip | None = None
    """Renders each moment as a sequence; null: as single frames."""
    quotas: Quotas | None = None
    """Shares of people in every part of a run."""
    objects: Annotated[tuple[Objects, ...], Field(max_length=8)] = ()
    """3D objects that occlude people."""
    cutouts: Cutouts | None = None
    """2D pictures that occlude people."""
    weather: Weather | None = None
    """Rain, snow, fog, dirt or drops on the lens."""
    backdrop: Backdrop = Plain()
    """The backdrop."""
    light: Light = Light()
    """Sun and sky."""
    targets: Targets = Targets()
    """Occlusion targets."""
    lens: Lens = Lens()
    """Distortion, blur, noise, exposure, JPEG."""
    variants: Variants = Variants()
    """Further frames of each moment with one difference."""
    occlude: Occlude | None = None
    """Settings of `synthstudio occlude`."""

    @property
    def stream_seed(self) -> int:
        """The seed of all random streams."""
        return named(self.seed, self.name if self.streams is None else self.streams)

    @property
    def photo_options(self) -> Occlude:
        """How people in photos are hidden; defaults if not in the recipe."""
        return self.occlude or Occlude()

    @property
    def backdrops(self) -> tuple[Share, ...]:
        if isinstance(self.backdrop, Mix):
            return tuple(share for share in self.backdrop.choices if share.weight > 0)
        return (Share(weight=1.0, backdrop=self.backdrop),)

    @property
    def folders(self) -> dict[str, str]:
        """The asset folders by use: backgrounds, hdris, places, cutouts, meshes, motions,
        makehuman."""
        uses = {"photo": "backgrounds", "hdri": "hdris", "place": "places"}
        parts: dict[str, Any] = {uses.get(s.backdrop.kind, ""): s.backdrop for s in self.backdrops}
        parts.pop("", None)
        parts["cutouts"] = self.photo_options.cutouts or self.cutouts
        parts["meshes"] = next((o for o in self.objects if isinstance(o, MeshObjects)), None)
        parts["motions"] = self.motion
        parts["makehuman"] = self.people.wardrobe.makehuman
        return {use: part.folder for use, part in parts.items() if part is not None}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.skeleton not in SKELETONS:
            raise ValueError(f"skeleton: one of {', '.join(sorted(SKELETONS))}")
        if sum(isinstance(objects, MeshObjects) for objects in self.objects) > 1:
            raise ValueError("objects: one entry of kind mesh; put all meshes into one folder")
        self.targets.check(SKELETONS[self.skeleton].joints, cutouts=self.cutouts is not None)
        if len(set(self.layers)) < len(self.layers):
            raise ValueError("layers: each layer once")
        self._check_backdrops()
        self._check_near()
        if self.lens.distortion is not None:
            widest = float(support(self.camera.vertical_fov_deg)[1])
            shape = self.image.width_px / self.image.height_px
            self.lens.distortion.check(vertical_fov_deg=widest, shape=shape)
        self._check_count(int(support(self.people.count)[1]))
        if self.clip is not None:
            self.clip.check([share.backdrop.kind for share in self.backdrops])
            self._check_moments()
        if self.quotas is not None:
            self.quotas.check(self.people, motion_share=self.motion.share if self.motion else 0)
        held = self.holdout
        named = held.poses or held.occluders or held.backgrounds or held.identities
        if named and self.splits.val + self.splits.test == 0:
            raise ValueError("holdout: nothing can be held out while splits.val and .test are 0")
        return self

    def _check_count(self, maximum: int) -> None:
        """Raise ValueError for options that at most `maximum` people in a frame do not support."""
        known = self.people.identities - self.holdout.identities
        if known < maximum:
            raise ValueError(
                f"people.identities: {self.people.identities} less {self.holdout.identities} held "
                f"out are too few for {maximum} different people in a training frame"
            )
        crowd, share = self.targets.crowd_index, self.people.interactions.share
        needed = {"targets.crowd_index": crowd is not None, "people.interactions": share > 0}
        for name, enabled in needed.items():
            if enabled and maximum < 2:
                raise ValueError(f"{name}: needs two people in a frame; raise people.count")

    def _check_backdrops(self) -> None:
        """Raise ValueError for options that the kinds of backdrop do not support."""
        kinds = {type(share.backdrop) for share in self.backdrops}
        if self.variants.view and Photo in kinds:
            raise ValueError(
                "variants.view: a photo shows one side of a place only; "
                "use room, hdri or plain backdrops"
            )
        for name, enabled in (("variants.view", self.variants.view), ("targets", self.targets.any)):
            if enabled and Place in kinds:
                raise ValueError(
                    f"{name}: not with place backdrops, whose walls may hide people; "
                    "use room, hdri or plain backdrops"
                )
        if self.weather is not None:
            self.weather.check([share.backdrop for share in self.backdrops])

    def _check_near(self) -> None:
        near = [objects for objects in self.objects if objects.placement == "near"]
        if any(isinstance(objects, MeshObjects) for objects in near):
            raise ValueError("objects.placement: near is for built-in hands; put meshes in_front")
        if near and (self.clip is not None or self.variants.view):
            raise ValueError("objects.placement: near needs one still camera; not clip or view")

    def _check_moments(self) -> None:
        """Raise ValueError for options that clips do not support."""
        if self.people.interactions.share > 0:
            raise ValueError("people.interactions: applies to single moments; leave out clip")
        if self.targets.any:
            raise ValueError("targets: apply to single moments; leave out clip")
