"""Occlusion as a transform: what is covered, what labels say after it, albumentations, the bank."""

import pickle

import albumentations as A
import numpy as np
import pytest

from synthstudio.api.generation import render_objects
from synthstudio.core.errors import ArgumentError, AssetError, RecipeError
from synthstudio.core.images import read_rgba
from synthstudio.core.rng import stream
from synthstudio.transforms import Occlude, occlude_people
from synthstudio.transforms.arrays import apply_pastes

SIZE = (256, 192)
LABELS = A.KeypointParams(
    format="xy", label_fields=["visibility", "visible_share"], remove_invisible=False
)


def an_image(size=SIZE):
    return stream(1, "image").integers(0, 256, (*size, 3)).astype(np.uint8)


def people(count=1, size=SIZE):
    """(P, 17, 3), side by side, all visible but the last joint, which nobody labelled."""
    rng = stream(count, "people")
    out = np.full((count, 17, 3), 2.0)
    for p in range(count):
        middle = [size[1] * (p + 0.5) / count, size[0] / 2]
        out[p, :, :2] = rng.normal(middle, [size[1] / count / 8, size[0] / 6], (17, 2))
    out[:, -1, 2] = 0
    return out


def test_what_is_asked_is_covered_and_labels_follow():
    image, before = an_image(), people()
    hidden = []
    for seed in range(40):
        made = occlude_people(image, before, seed=seed, fraction=(0.3, 0.4))
        assert 0.27 < made.fraction[0] < 0.48
        assert ((made.image != image).any(-1) <= (made.cover > 0)).all()
        v, share = made.keypoints[0, :, 2], made.visible_share[0]
        assert v[-1] == 0 and np.isnan(share[-1])
        assert ((v[:-1] == 2) == (share[:-1] >= 0.5)).all()
        np.testing.assert_allclose(made.visibility_fractions[0, :-1].sum(-1), 1, rtol=1e-6)
        x, y = np.clip(before[0, :-1, :2].astype(int), 0, [191, 255]).T
        inside = made.cover[y, x] > 0
        assert (share[:-1][inside] < 1).all()
        hidden.append((v == 1).mean())
    assert 0.2 < np.mean(hidden) < 0.5


def test_the_seed_decides():
    image, before = an_image(), people(2)
    kept = image.copy(), before.copy()
    a, b, c = (occlude_people(image, before, seed=seed) for seed in (3, 3, 4))
    assert (image == kept[0]).all() and (before == kept[1]).all()
    assert a.image.tobytes() == b.image.tobytes() and (a.keypoints == b.keypoints).all()
    assert a.image.tobytes() != c.image.tobytes()
    again, cover = apply_pastes(image, a.pastes)
    assert (again == a.image).all() and (cover == a.cover).all()


def test_masks_are_covered_instead_of_hulls_and_lose_what_is_under_pastes():
    image, before = an_image((300, 401)), people(3, (300, 401))
    masks = np.zeros((3, 300, 401), bool)
    for p in range(3):
        x, y = before[p, :, :2].mean(0).astype(int)
        masks[p, y - 90 : y + 90, x - 15 : x + 15] = True
    for seed in range(10):
        made = occlude_people(image, before, masks=masks, seed=seed, fraction=(0.5, 0.5))
        left = made.masks
        assert not (left & (made.cover >= 128)).any()
        gone = 1 - left.sum((1, 2)) / masks.sum((1, 2))
        assert (gone > 0.4).all()
        np.testing.assert_allclose(gone, made.fraction, atol=0.06)


def test_people_are_chosen_and_nobody_is_no_fault():
    image, before = an_image(), people(4)
    none = occlude_people(image, before, seed=1, people=0)
    assert (none.image == image).all() and (none.keypoints == before).all()
    some = [len(occlude_people(image, before, seed=s, people=0.5).pastes) for s in range(60)]
    assert 1.6 < np.mean(some) < 2.4
    assert occlude_people(image, np.zeros((0, 17, 3)), seed=1).visibility_fractions.shape == (
        0,
        17,
        5,
    )
    lost = before[:1].copy()
    lost[..., 2] = 0
    assert np.isnan(occlude_people(image, lost, seed=1).fraction[0])


def test_known_shares_are_lessened_and_hidden_joints_stay_hidden():
    image, before = an_image(), people()
    before[0, 0, 2] = 1
    fractions = np.zeros((1, 17, 5), np.float32)
    fractions[..., 0] = 1
    fractions[0, 1] = [0.6, 0.4, 0, 0, 0]
    made = occlude_people(image, before, visibility_fractions=fractions, seed=2, people=0)
    assert made.keypoints[0, 0, 2] == 1 and (made.visibility_fractions == fractions).all()
    covered = occlude_people(image, before, visibility_fractions=fractions, seed=2, fraction=(1, 1))
    assert covered.visible_share[0, 1] <= 0.6


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"keypoints": np.zeros((17, 2))}, "keypoints: .*(P, J, 3)"),
        ({"image": np.zeros((20, 20, 3), np.float32)}, "image: .*uint8"),
        ({"masks": np.zeros((1, 5, 5), bool)}, "masks: unsupported array"),
        ({"boxes": np.zeros((2, 4))}, "boxes: unsupported array"),
        ({"fraction": (0, 0.5)}, "fraction: .*above 0"),
        ({"synthetic": 2}, "synthetic: .*0 to 1"),
        ({"people": "half"}, "synthetic, people: "),
        ({"seed": 0.5}, "seed: .*whole number"),
        ({"sigmas": [0.1]}, "sigmas: unsupported array"),
        ({"cutouts": 3}, "cutouts"),
    ],
)
def test_bad_arguments(change, says):
    given = {"image": an_image(), "keypoints": people(), "seed": 0, **change}
    with pytest.raises(ArgumentError, match=says.replace("(P, J, 3)", r"\(P, J, 3\)")):
        occlude_people(**given)


def _run(transform, seed, **more):
    points = people(2)
    compose = A.Compose([transform], keypoint_params=LABELS, seed=seed)
    return dict(
        compose(
            image=an_image(),
            keypoints=points[..., :2].reshape(-1, 2),
            visibility=points[..., 2].ravel().astype(int),
            visible_share=np.ones(34, np.float32),
            **more,
        )
    )


def test_albumentations_moves_label_fields_with_the_image():
    masks = [np.full(SIZE, p + 1, np.uint8) for p in range(2)]
    transform = Occlude(joints=17, p=1)
    one, two, other = _run(transform, 5, masks=masks), _run(transform, 5), _run(transform, 6)
    assert (one["image"] != an_image()).any() and (other["image"] != one["image"]).any()
    assert (_run(transform, 5, masks=masks)["image"] == one["image"]).all()
    v, share = two["visibility"], two["visible_share"]
    assert set(np.unique(v)) == {0, 1, 2}
    assert ((v == 2) == (share >= 0.5))[v > 0].all() and (v[[16, 33]] == 0).all()
    covered = one["masks"][0] == 0
    assert covered.any() and ((one["image"] != an_image()).any(-1) >= covered).mean() > 0.99
    np.testing.assert_allclose(two["keypoints"], people(2)[..., :2].reshape(-1, 2), atol=1e-4)


def test_albumentations_keeps_and_sends_it(tmp_path):
    transform = Occlude(joints=17, fraction=(0.4, 0.5), p=1)
    again = A.from_dict(A.to_dict(transform))
    sent = pickle.loads(pickle.dumps(transform))
    images = [_run(t, 3)["image"].tobytes() for t in (transform, again, sent)]
    assert len(set(images)) == 1
    with pytest.raises(ArgumentError, match="remove_invisible"):
        A.Compose([transform])(image=an_image(), keypoints=np.zeros((17, 2)))
    with pytest.raises(ArgumentError, match="multiple of 5"):
        _run(Occlude(joints=5, p=1), 1)
    with pytest.raises(ArgumentError, match="fraction"):
        Occlude(fraction=(0.5, 0.1))
    with pytest.raises(AssetError, match=r"no such folder; expected a folder of cut-outs\.$"):
        Occlude(cutouts=tmp_path / "nowhere")


def test_a_bank_of_rendered_objects_is_pasted(tmp_path):
    kinds = ["barrel", "bicycle"]
    bank = tmp_path / "bank"
    found = render_objects(bank, count=6, seed=4, kinds=kinds, size_px=96, progress=False)
    assert sum(found.values()) == 6 and set(found) <= set(kinds)
    render_objects(tmp_path / "two", count=2, seed=4, kinds=kinds, size_px=96, progress=False)
    files = sorted(bank.glob("*.png"))
    assert [f.read_bytes() for f in files[:2]] == [
        f.read_bytes() for f in sorted((tmp_path / "two").glob("*.png"))
    ]
    for file in files:
        rgba = read_rgba(file)
        alpha = rgba[..., 3]
        assert max(alpha.shape) <= 96 and alpha.max() == 255 and alpha.min() == 0
        assert alpha[0].any() and alpha[-1].any() and alpha[:, 0].any() and alpha[:, -1].any()
    made = [occlude_people(an_image(), people(), seed=s, cutouts=bank, synthetic=0) for s in (1, 2)]
    assert all(m.fraction[0] > 0.08 for m in made)
    with pytest.raises(RecipeError, match="barel"):
        render_objects(tmp_path / "none", count=1, kinds=["barel"], progress=False)
    assert not (tmp_path / "none").exists()
