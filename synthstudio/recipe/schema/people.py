"""People in a recipe: bodies, poses, clothes, contacts, places; quotas and occlusion targets."""

import difflib
import itertools
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from synthstudio.core.people import BODIES, GENDERS, HEIGHTS, VIEWS, WEIGHTS
from synthstudio.core.spec import Pattern
from synthstudio.recipe.schema.distributions import (
    AnyNumber,
    Base,
    Count,
    Number,
    Weight,
    Whole,
    Within,
    bell,
    support,
    weighted,
)
from synthstudio.recipe.schema.scene import Folder, Probability, Weights


class Shape(Base):
    """Bodies: Anny's shape axes. The defaults give adults of 1.5 to 1.95 m."""

    female_share: Probability = 0.5
    """Share of women among identities."""
    age: Annotated[Number, Within(0.34, 1)] = (0.62, 0.95)
    """0.67 a young adult, 1 an old one; below 0.6 a child."""
    height: Annotated[Number, Within(0, 1)] = bell(0.36, 0.06, 0.22, 0.52)
    """A man's stature is 1.36 + 1.09 x height metres, a woman's 1.22 + 1.09 x."""
    weight: Annotated[Number, Within(0, 1)] = bell(0.5, 0.18, 0.08, 0.98)
    """Thin to heavy."""
    muscle: Annotated[Number, Within(0, 1)] = bell(0.5, 0.14, 0.2, 0.85)
    """Soft to lean."""
    proportions: Annotated[Number, Within(0, 1)] = bell(0.5, 0.14, 0.2, 0.8)
    """Broad to narrow shoulders."""
    age_years: Annotated[Number, Within(2, 90)] | None = None
    """Ages in years: `age` and `height` then follow from them, statures spread as those of
    people of that age and sex (WHO 2006, 2007). null: by age and height."""
    skin: Annotated[Number, Within(0, 1)] = (0, 1)
    """Skin tone from the lightest to the darkest."""
    blotches: Annotated[Number, Within(0, 1)] = 0.0
    """How uneven skin is: redder, paler and darker patches of 2 to 10 cm."""


Looks = Annotated[
    dict[Literal["pose", "camera", "person", "away"], Weight], AfterValidator(weighted)
]


class Poses(Base):
    """Poses of people, and their jitter."""

    families: Weights | None = None
    """Families of poses and their weights; null: equal weights."""
    athletic: Probability = 0.0
    """How often poses are of sport, stunts and falls: upside down, in the air, folded, on
    hands and knees. At 0 only those listed in families or names."""
    random: Probability = 0.0
    """How often a pose is random instead: every limb from another pose, each angle jittered by
    about 14 degrees within its limits, half of them in the air."""
    bent: Probability = 0.0
    """How often a leg of a random pose is resampled: hip and knee anywhere between a
    step back and a deep crouch, as in jumps, climbs and falls."""
    names: Weights | None = None
    """Single poses and their weights; null: all of the families."""
    mirror: Probability = 0.5
    """How often left and right are swapped."""
    mix: Probability = 0.25
    """How often arms and head come from a second pose."""
    arms: Literal["any", "fitting"] = "any"
    """Second poses whose arms sitting, kneeling or lying people take: any, or
    fitting ones only: no throwing while seated."""
    jitter_deg: Annotated[Number, Within(-30, 30)] = bell(0, 4, -12, 12)
    """Added to every joint angle, inside the joint's limits; legs get half."""
    resolve_self_intersection: bool = True
    """Whether self-penetration of hands, arms and legs is removed, by a
    few degrees; it occurs with wide bodies. For motions, which are the same for all,
    a fitting person is chosen instead."""
    hands: Probability = 0.25
    """How often a free hand takes another shape: open, flat, fist, point,
    pinch, grip, hook, thumb up."""
    look: Looks = Field(default={"pose": 1.0})
    """Where people look, and how often: pose (as posed), camera, person (the
    nearest), away. Limited by the neck's range."""


class MakeHuman(Base):
    """Clothes, shoes, hats, hair, brows, beards and skins from MakeHuman's asset packs."""

    folder: Folder = "assets/makehuman"
    """Their folder, below the asset root; subfolders and ZIP archives are searched."""
    share: Probability = 0.5
    """How often one of the folder is worn in place of a built-in one: a top, a bottom or both,
    shoes, a hat, hair, brows, a beard, a skin."""


class Wardrobe(Base):
    """Clothes: a top and a bottom or a dress, shoes, hair, sometimes a hat."""

    kinds: dict[str, Weight] = Field(default={}, max_length=100)
    """Weights of garments, hair styles and hats; unlisted ones weigh 1, so {sweater: 0}
    leaves one out. Leotard, leggings and sports_top are worn for sport alone, unless listed.
    Only if listed: ponytail_hair, plaits_hair, bob_hair, curly_hair, parted_hair,
    undercut_hair, mohawk_hair, balding_hair, helmet, headband, headscarf, and the clothes that
    docs/gallery.md shows under Clothes."""
    sport: Probability = 0.0
    """How often people wear sportswear: close tops, leotards, leggings, shorts;
    then two in five are barefoot."""
    hat: Probability = 0.15
    """How often people wear a hat."""
    over: Probability = 0.0
    """How often a jacket, vest, apron or number listed in kinds is worn over a suitable top."""
    neck: Probability = 0.0
    """How often a scarf is worn, if listed in kinds."""
    hands: Probability = 0.0
    """How often gloves or wristbands are worn, if listed in kinds."""
    legs: Probability = 0.0
    """How often long socks or tights are worn with bare legs, if listed in kinds."""
    patterned: Probability = 0.4
    """How often cloth has a pattern."""
    patterns: tuple[Pattern, ...] | None = None
    """The patterns that may be used; null: all of a garment's."""
    saturated: Probability = 0.2
    """How often cloth has a saturated colour, instead of a dull one."""
    prints: Probability = 0.0
    """How often a top has a print of three to five colours instead: floral, abstract or logo, if
    allowed by patterns. Bottoms have one a third as often, no logo."""
    wrinkles: Annotated[Number, Within(0, 1)] = 0.0
    """Strength of cloth wrinkles, folds 2 to 12 cm apart with dark valleys; 0 none, 1 slept in."""
    makehuman: MakeHuman | None = None
    """Assets in MakeHuman's format; null: none."""


class Face(Base):
    """Facial features besides skin and hair; none by default."""

    beard: Probability = 0.0
    """How often a grown man has a beard: full_beard, goatee or moustache, by the weights of
    wardrobe.kinds."""
    glasses: Probability = 0.0
    """How often people wear glasses; constant per person."""
    sunglasses: Probability = 0.0
    """How often people wear sunglasses, and their eyes count as hidden, or goggles, which hide
    nothing, if wardrobe.kinds lists them."""
    mask: Probability = 0.0
    """How often people wear a medical mask; the nose then counts as hidden."""
    expression: Probability = 0.0
    """How often a face has an expression: smile, laugh, surprise, sadness, anger, disgust, shout,
    talk, strain, pout, blow, closed eyes; weak to strong."""
    eyes: Probability = 0.0
    """How often eyes look aside, up to 25 degrees, unless the pose directs the gaze."""
    tones: Probability = 0.0
    """Variation of brow and lip tones between people."""


class Hold(Base):
    """Objects held, carried, pushed or leant on. The hand determines the object's place."""

    share: Probability = 0.0
    """How often people hold something: their arms then take a holding pose."""
    kinds: Weights | None = None
    """Built-in objects to hold and their weights; null: all that suit the place, equally."""
    lean: Probability = 0.0
    """How often people lean on a counter, table or partition, which is added where one belongs."""


LIE = "lie"
"""The family of poses in a bed."""


class Bed(Base):
    """Beds for lying people (pose family lie), in bedrooms and wards."""

    share: Probability = 0.0
    """How often lying people are in a bed, without shoes, hat and coat."""
    blanket: Probability = 0.8
    """How often people in beds have a blanket: an occluder that follows the body."""
    pulled_up: Annotated[Number, Within(0, 1)] = (0.4, 0.9)
    """The blanket's upper edge: 0 feet, 1 crown. With targets.occluded_fraction it follows the
    target instead."""


class Interaction(Base):
    """Interactions of two or more people of a frame."""

    share: Probability = 0.0
    """How often the first people of a frame with two or more interact. Where impossible, each
    stands alone."""
    kinds: Weights | None = None
    """Interactions and their weights: arm_round_shoulders, dance_hold, grapple, hand_on_back,
    hand_on_shoulder, help_up, high_five, hold_hands, hug, push_away, queue, shake_hands, tackle,
    take_arm, talk; null: equal weights."""


class Group(Base):
    """People stand around a common centre."""

    kind: Literal["group"] = "group"
    """A loose group."""
    spread_m: Annotated[Number, Within(0, 20)] = (0.5, 1.2)
    """Radius; increased if people would touch."""


class Crowd(Base):
    """People fill the view from the group's front into the depth."""

    kind: Literal["crowd"]
    """A crowd."""
    depth_m: Annotated[Number, Within(0.5, 40)] = (3, 8)
    """Depth; increased if people would touch."""


class People(Base):
    """People in the frame."""

    count: Annotated[Count, Within(0, 64)] = (1, 3)
    """How many."""
    identities: Annotated[Whole, Field(ge=1, le=100_000)] = 100
    """Number of different people in the whole data set."""
    shape: Shape = Shape()
    """Bodies."""
    poses: Poses = Poses()
    """Poses."""
    wardrobe: Wardrobe = Wardrobe()
    """Clothes."""
    face: Face = Face()
    """Faces."""
    hold: Hold = Hold()
    """Held objects and supports."""
    bed: Bed = Bed()
    """Beds and blankets."""
    seats: Weights | None = None
    """Built-in seats and their weights; null: all that suit the place, equally."""
    belt: Probability = 0.0
    """How often people in a car_cabin wear a fastened seat belt: an occluder that follows the
    body."""
    interactions: Interaction = Interaction()
    """Interactions between people."""
    facing_deg: Annotated[Number, Within(-180, 180)] = (-180, 180)
    """0 faces the camera; + turns to the person's left."""
    facing_chest: Probability = 0.0
    """How often people upside down are turned by 180 degrees, so that facing_deg is their chest's.
    Never with quotas.view."""
    arrangement: Annotated[Group | Crowd, Field(discriminator="kind")] = Group()
    """Placement of the people."""
    min_gap_m: Annotated[float, Field(strict=True, ge=0.005, le=5)] = 0.05
    """Minimum distance between any two bodies or objects."""
    min_visible_px: Annotated[Whole, Field(ge=0, le=1_000_000)] = 1
    """Visible pixels that one person at least must have; other frames are redrawn, up to 7 times.
    0: frames without people are kept, as negatives."""


# Quotas -----------------------------------------------------------------------------------

_PARTS = (*GENDERS, *WEIGHTS, *HEIGHTS)
_BODY_NAMES = tuple(
    "-".join(filter(None, parts))
    for parts in itertools.product(("", *GENDERS), ("", *WEIGHTS), ("", *HEIGHTS))
    if any(parts)
)
FULL_TURN = (-180.0, 180.0)


def bodies_in(name: str) -> frozenset[str]:
    """The bins of core.people.BODIES covered by a quota's name: tall, woman-heavy, ..."""
    parts = set(name.split("-"))
    if not parts <= set(_PARTS):
        return frozenset()
    return frozenset(body for body in BODIES if parts <= set(body.split("-")))


def _views(fractions: dict[str, float]) -> dict[str, float]:
    for name in fractions:
        if name not in VIEWS:
            raise ValueError(f"{name!r} is not a view: {', '.join(VIEWS)}")
    return fractions


def _bodies(fractions: dict[str, float]) -> dict[str, float]:
    taken: dict[str, str] = {}
    for name in fractions:
        bodies = bodies_in(name)
        if not bodies:
            raise ValueError(
                f"{name!r} is not a body: parts of {', '.join(_PARTS)} joined by -, at most one "
                "of a kind"
            )
        for body in sorted(bodies):
            if body in taken:
                raise ValueError(f"{taken[body]!r} and {name!r} overlap: both include {body}")
            taken[body] = name
    return fractions


Shares = Annotated[dict[str, Weight], Field(min_length=1, max_length=64), AfterValidator(weighted)]


class Quotas(Base):
    """Shares met approximately by every part of a run; planned by each person's number alone."""

    view: Annotated[Shares, AfterValidator(_views)] | None = Field(
        default=None, json_schema_extra={"propertyNames": {"enum": list(VIEWS)}}
    )
    """Side of people that faces the camera: front, front_left, left, back_left, back, back_right,
    right, front_right, and their shares; null: by facing_deg."""
    family: Shares | None = None
    """Families of poses and their shares; null: by people.poses."""
    body: Annotated[Shares, AfterValidator(_bodies)] | None = Field(
        default=None, json_schema_extra={"propertyNames": {"enum": list(_BODY_NAMES)}}
    )
    """Bodies and their shares: man, woman, slim, medium, heavy, short, mid, tall or several
    joined, as woman-heavy-tall; null: unrestricted."""

    def check(self, people: People, *, motion_share: float) -> None:
        """Raise ValueError where other fields of the recipe contradict the quotas."""
        families, hold = people.poses.families, people.hold
        if people.interactions.share > 0 and (self.family is not None or self.view is not None):
            raise ValueError(
                "quotas.family and quotas.view plan every pose and turn, but people.interactions "
                "gives some people others: set its share to 0"
            )
        if self.family is not None and (hold.share > 0 or hold.lean > 0 or motion_share):
            raise ValueError(
                "quotas.family plans every pose, but people.hold or motion gives some people "
                "others: set its share (and lean) to 0"
            )
        for name, share in (self.family or {}).items():
            if share > 0 and families is not None and not families.get(name, 0.0) > 0:
                raise ValueError(
                    f"quotas.family: {name} has a share of {share:g}, but people.poses.families "
                    "gives it no weight"
                )
        if self.view is not None and people.facing_deg != FULL_TURN:
            raise ValueError(
                "quotas.view and people.facing_deg both set the facing: leave the latter at "
                "[-180, 180]"
            )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.view is None and self.family is None and self.body is None:
            raise ValueError("quotas: at least one of view, family, body")
        return self


# Targets ----------------------------------------------------------------------------------------

MAX_RATIO = 0.9
"""Maximum requested occlusion: the visible rest must still identify the person."""


def _groups(joints: dict[str, float]) -> dict[str, float]:
    """The joint groups; ValueError if empty or with duplicate names."""
    for group in joints:
        names = group.split("+")
        if not all(names) or len(set(names)) < len(names):
            raise ValueError(f"{group!r}: a joint, or different joints joined by +")
    return joints


def contradictions(rates: Mapping[str, float]) -> list[tuple[str, str]]:
    """(part, group) of joint groups where the part is hidden less often than all of the group."""
    pairs = itertools.permutations(rates, 2)
    return [
        (part, group)
        for part, group in pairs
        if rates[part] < rates[group] and {*part.split("+")} < {*group.split("+")}
    ]


def _within_all(causes: dict[str, AnyNumber]) -> dict[str, AnyNumber]:
    """The fractions by cause; ValueError if they always exceed all joints."""
    minimum = sum(support(of)[0] for of in causes.values())
    if minimum > 1:
        raise ValueError(f"the causes request at least {minimum:.0%} of all joints")
    return causes


Causes = Annotated[
    dict[Literal["self", "person", "object", "truncated"], Annotated[Number, Within(0, MAX_RATIO)]],
    AfterValidator(_within_all),
]


class Targets(Base):
    """Targets of every person, or of every frame, met by a search."""

    occluded_fraction: Annotated[Number, Within(0, MAX_RATIO)] | None = None
    """1 - modal / amodal area inside the picture: how much of a person is hidden."""
    joints: Annotated[dict[str, Probability], AfterValidator(_groups)] = Field(
        default={}, max_length=20
    )
    """How often joints are hidden or outside the picture, all of a group at once:
    {left_wrist+right_wrist: 0.4}."""
    causes: Causes = Field(default={})
    """Causes of hidden joints: for each the share of a person's joints, those outside the picture
    (truncated) included; the rest is visible."""
    crowd_index: Annotated[Number, Within(0, 1)] | None = None
    """CrowdPose's crowd index of a frame. Needs two or more people."""
    tolerance: Annotated[float, Field(strict=True, ge=0.005, le=0.5)] = 0.05
    """Tolerance: a person is met within twice this of the requested fraction and four
    times this of a cause's share. `stats` and --strict judge the whole set by it."""
    max_objects: Annotated[Whole, Field(ge=1, le=6)] = 3
    """Maximum objects in front of one person."""
    effort: Annotated[Whole, Field(ge=1, le=100)] = 10
    """Candidate objects for each one placed."""
    search: bool = True
    """false: targets are drawn and reported, but everything is placed at random."""

    @property
    def any(self) -> bool:
        targets = (self.occluded_fraction, self.crowd_index)
        return any(of is not None for of in targets) or bool(self.joints or self.causes)

    @property
    def by_objects(self) -> bool:
        return (
            self.occluded_fraction is not None
            or any(rate > 0 for rate in self.joints.values())
            or "object" in self.causes
        )

    def check(self, joints: tuple[str, ...], *, cutouts: bool) -> None:
        """Raise ValueError for unknown joints, contradictory rates, or cut-outs beside targets."""
        if self.by_objects and self.search and cutouts:
            raise ValueError(
                "targets: objects are searched for, but cut-outs placed at random; leave one out"
            )
        for name in (name for group in self.joints for name in group.split("+")):
            if name not in joints:
                near = difflib.get_close_matches(name, joints, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"targets.joints: {name!r} is not a joint of the skeleton{hint}")
        for part, group in contradictions(self.joints):
            why = f"{part!r} is hidden whenever {group!r} is, but its rate is lower"
            raise ValueError(f"targets.joints: {why}")

    @property
    def turns(self) -> bool:
        """Whether people are turned to hide or show joints of their own."""
        return bool(self.joints) or "self" in self.causes


# Real photos ------------------------------------------------------------------------------

PasteKind = Literal["cutout", "object", "person", "near", "frame"]


class PhotoCutouts(Base):
    """Pictures with an alpha channel, in true size."""

    folder: Folder
    """Their folder, below the asset root."""
    categories: Weights | None = None
    """Categories and their weights; null: equal weights."""
    sizes_m: dict[str, Annotated[Number, Within(0.02, 30)]] = Field(default={}, max_length=200)
    """The longer side of a category's objects in metres, instead of the built-in sizes of COCO's
    categories."""
    max_scale: Annotated[float, Field(strict=True, gt=0, le=8)] = 1.6
    """Never drawn larger than this times its own pixels."""


class Occlude(Base):
    """Occlusion of people in photos, for `synthstudio occlude` alone."""

    each: Annotated[Whole, Field(ge=1, le=1000)] = 10
    """Occluded frames of each photo; the clean photo comes before them."""
    hide: Annotated[Count, Within(1, 16)] = 1
    """Number of a photo's people who are targets in a frame."""
    by: Annotated[dict[PasteKind, Weight], AfterValidator(weighted)] = Field(
        default={"cutout": 1.0, "object": 1.0, "person": 0.5}
    )
    """Occluders and their shares: cutout, object, person; near: a person close to the camera, from
    behind, cut by the picture's lower edge; frame: the photo is cropped through the person,
    also where nothing can be pasted. Only the last two need no known ground."""
    cutouts: PhotoCutouts | None = None
    """Cut-outs; null: none."""
    ground: Literal["known", "any"] = "known"
    """known: objects and people stand only where the photo looks like the ground about the feet
    of an upright person, and only in front of such people; other photos are
    unchanged; objects are of plain colours, light is mostly the sky's, cut-outs are of kinds that
    stand on floors, in their real height. any: on the estimated floor, in front of
    everybody."""
    between: Annotated[Number, Within(0.05, 0.85)] = (0.08, 0.45)
    """Position of objects from the hidden person (0) to the camera (1)."""
    min_height_px: Annotated[Whole, Field(ge=8, le=2000)] = 48
    """People with lower boxes are never targets."""
    min_joints: Annotated[Whole, Field(ge=0, le=133)] = 3
    """People with fewer joints labelled visible are never targets."""
