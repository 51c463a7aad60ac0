"""Bones move as Anny's own forward kinematics moves them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthstudio.body.atlas import load_atlas
from synthstudio.body.chain import chain_of, posed_chain
from synthstudio.body.pose_library import library
from synthstudio.body.poses import bone_rotations

POSES = {pose.name: pose.angles_rad for pose in library()}


@pytest.mark.parametrize("pose", sorted(POSES)[::6])
@pytest.mark.parametrize("weight", [0.2, 0.9])
def test_transforms_are_annys(pose: str, weight: float) -> None:
    atlas = load_atlas()
    turns = bone_rotations(POSES[pose])
    with torch.inference_mode():
        *_, parameters, local, facial = atlas.model.get_tensor_inputs(
            None, {"weight": weight, "gender": 0.8}, None, None
        )
        shape = atlas.model._get_phenotype_blendshape_coefficients(parameters, local, facial)
        rest = atlas.model.get_rest_model(shape)["rest_bone_poses"]
        delta = torch.eye(4).repeat(1, len(turns), 1, 1)
        delta[0, :, :3, :3] = torch.from_numpy(turns.astype(np.float32))
        theirs = atlas.model.get_bone_transforms(delta, rest)[0][0].numpy()
    ours, whole = posed_chain(chain_of(atlas.model, rest, atlas.bone_parents), turns)
    assert ours.dtype == np.float32
    assert np.abs(ours - theirs[:, :3]).max() < 5e-6
    assert np.allclose(whole @ whole.transpose(0, 2, 1), np.eye(3), atol=1e-9)
    assert np.array_equal(whole[0], turns[0])
