"""The recipe: what a person writes about the frames to be made. See scenes/README.md.

Every field has a unit in its name, a default, limits and a description; the JSON Schema that
editors use is made from them.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from synthstudio.core.skeleton import SKELETONS
from synthstudio.core.spec import Pattern
from synthstudio.recipe.schema.contact import Hold
from synthstudio.recipe.schema.distributions import (
    Base,
    Count,
    Number,
    Weight,
    Whole,
    Within,
    support,
    weighted,
)
from synthstudio.recipe.schema.motion import Clip, Motion
from synthstudio.recipe.schema.occlude import Occlude
from synthstudio.recipe.schema.quotas import Quotas
from synthstudio.recipe.schema.scene import (
    Backdrop,
    Cutouts,
    Hdri,
    Lens,
    Light,
    MeshThings,
    Mix,
    Photo,
    Plain,
    Probability,
    Share,
    Things,
    Weights,
)
from synthstudio.recipe.schema.targets import Targets
from synthstudio.recipe.schema.variants import Variants

Layer = Literal["depth", "instance", "part", "normals"]


def _bell(mean: float, sd: float, low: float, high: float) -> dict[str, dict[str, float]]:
    return {"normal": {"mean": mean, "sd": sd, "low": low, "high": high}}


class Image(Base):
    """The picture's size."""

    width_px: Annotated[Whole, Field(ge=64, le=4096)] = Field(default=640, description="Width.")
    height_px: Annotated[Whole, Field(ge=64, le=4096)] = Field(default=480, description="Height.")
    supersample: Annotated[Whole, Field(ge=1, le=4)] = Field(
        default=2, description="Samples along each side of a pixel, for smooth edges."
    )


class Camera(Base):
    """Where the camera stands. A photo's sidecar, where there is one, comes first."""

    distance_m: Annotated[Number, Within(0.6, 60)] = Field(
        default=(3.0, 5.5), description="From the middle of the group, along the floor."
    )
    height_m: Annotated[Number, Within(0.1, 20)] = Field(
        default=(1.0, 1.8), description="Above the floor."
    )
    vertical_fov_deg: Annotated[Number, Within(10, 110)] = Field(
        default=(35, 55), description="Angle of view from the lower to the upper edge."
    )
    aim_height_m: Annotated[Number, Within(-1, 4)] = Field(
        default=(0.7, 1.1), description="How high above the floor it looks at the group."
    )
    pitch_deg: Annotated[Number, Within(-85, 60)] | None = Field(
        default=None, description="Looks up (+) or down (-); null: aims at aim_height_m."
    )
    off_centre: Annotated[Number, Within(-0.6, 0.6)] = Field(
        default=_bell(0, 0.08, -0.25, 0.25),
        validate_default=True,
        description="How far the group is from the middle, as a share of the picture's width.",
    )
    roll_deg: Annotated[Number, Within(-45, 45)] = Field(
        default=_bell(0, 1.5, -6, 6), validate_default=True, description="Tilt of the horizon."
    )


class Shape(Base):
    """Bodies: Anny's shape axes. The defaults give adults of 1.5 to 1.95 m."""

    female_share: Probability = Field(default=0.5, description="Share of women among identities.")
    age: Annotated[Number, Within(0.34, 1)] = Field(
        default=(0.62, 0.95), description="0.67 a young adult, 1 an old one; below 0.6 a child."
    )
    height: Annotated[Number, Within(0, 1)] = Field(
        default=_bell(0.36, 0.06, 0.22, 0.52),
        validate_default=True,
        description="A man's stature is 1.36 + 1.09 x height metres, a woman's 1.22 + 1.09 x.",
    )
    weight: Annotated[Number, Within(0, 1)] = Field(
        default=_bell(0.5, 0.18, 0.08, 0.98), validate_default=True, description="Thin to heavy."
    )
    muscle: Annotated[Number, Within(0, 1)] = Field(
        default=_bell(0.5, 0.14, 0.2, 0.85), validate_default=True, description="Soft to lean."
    )
    proportions: Annotated[Number, Within(0, 1)] = Field(
        default=_bell(0.5, 0.14, 0.2, 0.8),
        validate_default=True,
        description="Broad to narrow shoulders.",
    )
    skin: Annotated[Number, Within(0, 1)] = Field(
        default=(0, 1), description="Skin tone from the lightest to the darkest."
    )


Looks = Annotated[
    dict[Literal["pose", "camera", "person", "away"], Weight], AfterValidator(weighted)
]


class Poses(Base):
    """Which poses people take, and how far they stray from them."""

    families: Weights | None = Field(
        default=None, description="Families of poses and their weights; null: all alike."
    )
    names: Weights | None = Field(
        default=None, description="Single poses and their weights; null: all of the families."
    )
    mirror: Probability = Field(default=0.5, description="How often left and right change places.")
    mix: Probability = Field(
        default=0.25, description="How often arms and head come from a second pose."
    )
    jitter_deg: Annotated[Number, Within(-30, 30)] = Field(
        default=_bell(0, 4, -12, 12),
        validate_default=True,
        description="Added to every joint angle, inside the joint's limits; legs get half.",
    )
    hands: Probability = Field(
        default=0.25,
        description="How often a hand that its pose leaves free takes another shape: open, flat, "
        "fist, point, pinch, grip, hook, thumb up.",
    )
    look: Looks = Field(
        default={"pose": 1.0},
        description="Where people look, and how often: pose (as the pose has it), camera, person "
        "(whoever is nearest), away. Only heads that can turn so far do.",
    )


class Wardrobe(Base):
    """What people wear. Everybody wears a top, a bottom, shoes and hair."""

    kinds: dict[str, Weight] = Field(
        default={},
        max_length=100,
        description="Weights of garments, hair styles and hats; those not named weigh 1, so "
        "{sweater: 0} leaves one out.",
    )
    hat: Probability = Field(default=0.15, description="How often somebody wears a hat.")
    patterned: Probability = Field(default=0.4, description="How often cloth has a pattern.")
    patterns: tuple[Pattern, ...] | None = Field(
        default=None, description="The patterns that may be used; null: all of a garment's."
    )
    saturated: Probability = Field(
        default=0.2, description="How often cloth has a strong colour; otherwise dull ones."
    )


class Group(Base):
    """People stand about one another."""

    kind: Literal["group"] = Field(default="group", description="A loose group.")
    spread_m: Annotated[Number, Within(0, 20)] = Field(
        default=(0.5, 1.2), description="Radius; it grows where people would touch."
    )


class Crowd(Base):
    """People fill the view from the group's front into the depth."""

    kind: Literal["crowd"] = Field(description="A crowd.")
    depth_m: Annotated[Number, Within(0.5, 40)] = Field(
        default=(3, 8), description="How deep; it grows where people would touch."
    )


class People(Base):
    """Who is in the frame."""

    count: Annotated[Count, Within(0, 64)] = Field(default=(1, 3), description="How many.")
    identities: Annotated[Whole, Field(ge=1, le=100_000)] = Field(
        default=100, description="How many different people there are in the whole data set."
    )
    shape: Shape = Field(default=Shape(), description="Bodies.")
    poses: Poses = Field(default=Poses(), description="Poses.")
    wardrobe: Wardrobe = Field(default=Wardrobe(), description="Clothes.")
    hold: Hold = Field(default=Hold(), description="What they hold and lean on.")
    facing_deg: Annotated[Number, Within(-180, 180)] = Field(
        default=(-180, 180), description="0 faces the camera; + turns to the person's left."
    )
    arrangement: Annotated[Group | Crowd, Field(discriminator="kind")] = Field(
        default=Group(), description="How they stand to one another."
    )
    min_gap_m: Annotated[float, Field(strict=True, ge=0.005, le=5)] = Field(
        default=0.05, description="Least distance between any two bodies or things."
    )


class Splits(Base):
    """Shares of the three splits; their sum is 1."""

    train: Probability = Field(default=0.8, description="To learn from.")
    val: Probability = Field(default=0.1, description="To choose by.")
    test: Probability = Field(default=0.1, description="To report.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + val + test must be 1, not {total:g}")
        return self


class Holdout(Base):
    """What training frames never show."""

    poses: tuple[str, ...] = Field(
        default=(), description="Poses, whole families of poses, or motions."
    )
    occluders: tuple[str, ...] = Field(
        default=(), description="Kinds of things, categories of cut-outs, names of mesh files."
    )
    backgrounds: tuple[str, ...] = Field(
        default=(), description="Names of photos and panoramas, with or without folder and ending."
    )
    identities: Annotated[Whole, Field(ge=0, le=100_000)] = Field(
        default=0, description="How many people, the last of the identities."
    )
    share: Probability = Field(
        default=0.5, description="How often a choice in a val or test frame is a held-out one."
    )


class Recipe(Base):
    """A recipe: distributions from which every frame is drawn."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")] = Field(
        description="A short name: letters a-z, digits, - and _."
    )
    description: Annotated[str, Field(max_length=2000)] = Field(
        default="", description="What it is for."
    )
    frames: Annotated[Whole, Field(ge=1, le=10_000_000)] = Field(
        default=24, description="How many frames."
    )
    seed: Annotated[Whole, Field(ge=0, le=2**63 - 1)] = Field(
        default=0, description="With the frame's index it decides everything."
    )
    image: Image = Field(default=Image(), description="The picture's size.")
    skeleton: Annotated[str, Field(json_schema_extra={"enum": sorted(SKELETONS)})] = Field(
        default="coco23", description="Which joints are labelled."
    )
    layers: tuple[Layer, ...] = Field(
        default=(), description="Further images to write: depth, instance, part, normals."
    )
    splits: Splits = Field(default=Splits(), description="Train, val and test.")
    holdout: Holdout = Field(default=Holdout(), description="What training frames never show.")
    camera: Camera = Field(default=Camera(), description="Where the camera stands.")
    people: People = Field(default=People(), description="Who is in the frame.")
    motion: Motion | None = Field(
        default=None, description="Recorded motions from which people take their poses."
    )
    clip: Clip | None = Field(
        default=None, description="Renders each moment as a sequence; null: as single frames."
    )
    quotas: Quotas | None = Field(
        default=None, description="Shares of people that every part of a run keeps to."
    )
    things: Annotated[tuple[Things, ...], Field(max_length=8)] = Field(
        default=(), description="3D things that hide people."
    )
    cutouts: Cutouts | None = Field(default=None, description="2D pictures that hide people.")
    backdrop: Backdrop = Field(default=Plain(), description="What is behind the people.")
    light: Light = Field(default=Light(), description="Sun and sky.")
    targets: Targets = Field(default=Targets(), description="How much shall be hidden.")
    lens: Lens = Field(default=Lens(), description="Blur, noise, exposure, JPEG.")
    variants: Variants = Field(
        default=Variants(), description="Further frames of each moment that differ in one way."
    )
    occlude: Occlude | None = Field(
        default=None, description="How `synthstudio occlude` hides people in photos."
    )

    @property
    def backdrops(self) -> tuple[Share, ...]:
        """Return the backdrops that may occur, with weights."""
        if isinstance(self.backdrop, Mix):
            return tuple(share for share in self.backdrop.choices if share.weight > 0)
        return (Share(weight=1.0, backdrop=self.backdrop),)

    @property
    def folders(self) -> dict[str, str]:
        """Return the asset folders by use: backgrounds, hdris, cutouts, meshes, motions."""
        out: dict[str, str] = {}
        for share in self.backdrops:
            if isinstance(share.backdrop, Photo):
                out["backgrounds"] = share.backdrop.folder
            elif isinstance(share.backdrop, Hdri):
                out["hdris"] = share.backdrop.folder
        if self.cutouts is not None:
            out["cutouts"] = self.cutouts.folder
        if self.occlude is not None and self.occlude.cutouts is not None:
            out["cutouts"] = self.occlude.cutouts.folder
        for things in self.things:
            if isinstance(things, MeshThings):
                out["meshes"] = things.folder
        if self.motion is not None:
            out["motions"] = self.motion.folder
        return out

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.skeleton not in SKELETONS:
            raise ValueError(f"skeleton: one of {', '.join(sorted(SKELETONS))}")
        if sum(isinstance(things, MeshThings) for things in self.things) > 1:
            raise ValueError("things: one entry of kind mesh; put all meshes into one folder")
        self.targets.check(SKELETONS[self.skeleton].joints, cutouts=self.cutouts is not None)
        if len(set(self.layers)) < len(self.layers):
            raise ValueError("layers: each layer once")
        if self.variants.view and any(isinstance(b.backdrop, Photo) for b in self.backdrops):
            raise ValueError(
                "variants.view: a photo shows one side of a place only; "
                "use room, hdri or plain backdrops"
            )
        most = int(support(self.people.count)[1])
        known = self.people.identities - self.holdout.identities
        if known < most:
            raise ValueError(
                f"people.identities: {self.people.identities} less {self.holdout.identities} held "
                f"out are too few for {most} different people in a training frame"
            )
        if self.clip is not None:
            self.clip.check([share.backdrop.kind for share in self.backdrops])
            if self.targets.any:
                raise ValueError("targets: they are about single moments; leave out clip")
        if self.quotas is not None:
            holding = self.people.hold.share > 0 or self.people.hold.lean > 0
            families, facing = self.people.poses.families, self.people.facing_deg
            self.quotas.check(families, facing, holding=holding)
        held = self.holdout
        named = held.poses or held.occluders or held.backgrounds or held.identities
        if named and self.splits.val + self.splits.test == 0:
            raise ValueError("holdout: nothing can be held out while splits.val and .test are 0")
        return self
