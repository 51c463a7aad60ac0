"""People in outfits that several tests of the wardrobe share."""

from synthstudio.body.atlas import bare_body, load_atlas
from synthstudio.body.pose_library import library
from synthstudio.body.wardrobe import GARMENTS, dress
from synthstudio.core.spec import GarmentSpec, Look, Material, PersonSpec, Phenotype, PoseSpec

PHENOTYPES = {
    "man": Phenotype(gender=0, age=0.67, muscle=0.5, weight=0.5, height=0.4, proportions=0.5),
    "heavy": Phenotype(gender=1, age=0.7, muscle=0.15, weight=0.95, height=0.38, proportions=0.5),
    "thin": Phenotype(gender=1, age=0.95, muscle=0.3, weight=0.1, height=0.3, proportions=0.4),
}
OUTFITS = {
    "plain": ("t_shirt", "jeans", "sneakers", "short_hair"),
    "office": ("shirt", "trousers", "boots", "afro_hair", "cap"),
    "summer": ("tank_top", "shorts", "low_shoes", "bun_hair"),
    "party": ("dress", "low_shoes", "long_hair"),
    "winter": ("coat", "trousers", "boots", "cropped_hair", "beanie"),
    "gym": ("sports_top", "leggings", "bun_hair"),
    "stage": ("leotard", "long_hair"),
    "sport": ("hoodie", "skirt", "sneakers", "long_hair"),
}
POSES = {pose.name: pose for pose in library()}
LOOK = Look(skin_rgb=(0.6, 0.4, 0.3), hair_rgb=(0.08, 0.05, 0.03), iris_rgb=(0.1, 0.2, 0.3))


def garment(kind: str, share: float = 0.5) -> GarmentSpec:
    ranges = GARMENTS[kind].kind.shape
    shape = {name: low + share * (high - low) for name, (low, high) in ranges.items()}
    kind_of = "hair" if GARMENTS[kind].kind.slot == "hair" else "cloth"
    return GarmentSpec(kind=kind, shape=shape, material=Material(kind=kind_of))


def person(phenotype: str, pose: str, *kinds: str, share: float = 0.5) -> PersonSpec:
    key = POSES[pose]
    return PersonSpec(
        identity="test",
        phenotype=PHENOTYPES[phenotype],
        look=LOOK,
        pose=PoseSpec(name=key.name, family=key.family, angles_rad=key.angles_rad),
        outfit=tuple(garment(kind, share) for kind in kinds),
    )


def dressed(spec: PersonSpec):
    return dress(load_atlas(), bare_body(load_atlas(), spec.phenotype, spec.pose.angles_rad), spec)
