"""Hair sits on the skull, falls when the head turns over, and goes under hats."""

import numpy as np
import pytest
from scipy.spatial import cKDTree
from wardrobe_people import GARMENTS, bare_of, dressed, person

from synthstudio.body.atlas import Atlas, load_atlas
from synthstudio.body.clothes.garment_mesh import basis
from synthstudio.core.scene import PARTS

HAIR = sorted(k for k, e in GARMENTS.items() if e.kind.slot == "hair")
HATS = sorted(k for k, e in GARMENTS.items() if e.kind.slot == "hat")
DOMES = [
    hat for hat in HATS if hat not in ("headband", "headscarf", "visor")
]  # those: test_heads.py


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return load_atlas()


def _vertices(atlas: Atlas, pose: str, *kinds: str, of: str, share: float = 0.5) -> np.ndarray:
    made = dressed(atlas, person("thin", pose, "t_shirt", "jeans", *kinds, share=share))
    return np.concatenate([s.vertices_m for s in made.surfaces if s.name == of])


@pytest.mark.parametrize("kind", HAIR)
def test_hair_hides_the_scalp_and_not_the_face(atlas, kind):
    at = _vertices(atlas, "stand_relaxed", kind, of=kind, share=0.2)
    bare = bare_of(atlas, person("thin", "stand_relaxed", "t_shirt", "jeans", kind))
    crown = bare.vertices_m[base_skin(atlas, "scalp")]
    assert np.percentile(cKDTree(at).query(crown)[0], 90) < 0.045
    mouth = bare.vertices_m[atlas.masks["lips"] > 0.5]
    assert cKDTree(at).query(mouth)[0].min() > 0.02
    for name in ("left_eye", "right_eye"):
        eye = bare.vertices_m[np.unique(atlas.groups[name])]
        assert cKDTree(at).query(eye)[0].min() > 0.01


def base_skin(atlas: Atlas, part: str) -> np.ndarray:
    """Return the skin vertices of a part."""
    skin = basis(atlas).skin
    return skin[atlas.vertex_part[skin] == PARTS.index(part)]


@pytest.mark.parametrize("hat", DOMES)
@pytest.mark.parametrize("kind", HAIR)
def test_hair_fits_under_hats(atlas, hat, kind):
    made = dressed(atlas, person("thin", "stand_relaxed", "t_shirt", "jeans", kind, hat, share=1.0))
    hair = [s for s in made.surfaces if s.name == kind]
    dome = next(s for s in made.surfaces if s.name == hat)
    top = max(float(s.vertices_m[s.faces[s.drawn]][..., 2].max()) for s in hair if s.drawn.any())
    assert top < dome.vertices_m[:, 2].max()
