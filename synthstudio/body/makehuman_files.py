"""Files of an asset in MakeHuman's format: .mhclo, .obj, .mhmat and a texture, checked.

Letters: N vertices of the base mesh, V of the asset.
"""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy import sparse

from synthstudio.core.arrays import F32, U8, Bool
from synthstudio.core.errors import AssetError
from synthstudio.core.images import decode, linear_to_srgb_u8, picture_rgba, read_bytes
from synthstudio.core.safe_files import inside, inside_skins, is_file_below
from synthstudio.core.spec import Vec3

MAX_BYTES = 32 * 1024 * 1024
MAX_VERTICES, MAX_FACES, MAX_CORNERS = 100_000, 200_000, 64
_BASE_MESH, _BASE_VERTICES, _BASE_UV = "hm08", 19158, "default.mhuv"
_AXES = {"x_scale": 0, "z_scale": 1, "y_scale": 2}
"""Of the base mesh: Anny's z is MakeHuman's y, Anny's y its -z."""
_DECIMETRE = 0.1
_MAX_TEXTURE_PX, _MAX_STRENGTH = 1024, 10.0
_PICTURES = ("diffuse", "normalmap")
_NUMBERS = {"diffuseColor": "1 1 1", "normalmapIntensity": "1"}
_HEAD_CHARS = 4096
Polygons = list[list[int]]
Binding = list[tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...]]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Appearance:
    """What a material says. `relief`: its normal map, each coordinate x as the sRGB byte of linear
    light (x + 1) / 2, so that it is read as a picture is."""

    picture: U8 | None  # (h, w, 4) sRGB and alpha
    relief: U8 | None  # (h, w, 4)
    base_rgb: Vec3  # linear, times the picture

    @property
    def texture(self) -> U8 | None:
        """The picture, and below it the relief if there is one."""
        if self.picture is None or self.relief is None:
            return self.picture
        return np.concatenate([self.picture, self.relief])

    @property
    def bump(self) -> float:
        """`Material.bump` with that texture: 1 with a relief."""
        return float(self.relief is not None)


@dataclass(frozen=True, kw_only=True, eq=False)
class AssetFiles:
    """What the files of an asset say, in Anny's axes and metres."""

    tags: str  # the words that describe it
    licence: str
    rows: sparse.csr_array  # (V, N) blends of the base mesh's vertices
    shift_m: F32  # (V, 3) away from the blend at size 1
    sizes: tuple[tuple[int, int, float], ...]  # along x, y, z: two vertices, metres at size 1
    deleted: Bool  # (N,)
    faces: Polygons
    corner_uv: Polygons
    uv: F32  # (T, 2)
    look: Appearance


def read_asset(path: Path) -> AssetFiles:
    """Read an .mhclo with the files of its folder that it names; AssetError."""
    where = str(path)
    text = _text(path)
    fields, tags, binding, deleted = _clothes(path, text)
    mesh = inside(path.parent, _needed(fields, "obj_file", where), where)
    faces, corner_uv, uv = _mesh(mesh, len(binding))
    rows, shift = _bound(binding)
    return AssetFiles(
        tags=tags,
        licence=_licence(text[:_HEAD_CHARS]),
        rows=rows,
        shift_m=shift,
        sizes=tuple(_size(fields, axis, where) for axis in _AXES),
        deleted=deleted,
        faces=faces,
        corner_uv=corner_uv,
        uv=uv,
        look=_look(path, fields),
    )


def _clothes(path: Path, text: str) -> tuple[dict[str, str], str, Binding, Bool]:
    """The fields, the words that describe it, the bindings and the deleted vertices (N,)."""
    where, fields, tags = str(path), {}, [path.parent.parent.name, path.stem]
    binding: Binding = []
    deleted = np.zeros(_BASE_VERTICES, np.bool_)
    section = ""
    for number, words in _lines(text):
        if words[0] in ("verts", "delete_verts", "weights"):
            section, words = words[0], []
        elif not _is_number(words[0]) and words[0] != "-":  # also among the bindings
            tags += words[1:] if words[0] in ("tag", "name") else []
            fields[words[0]], words = " ".join(words[1:]), []
        try:
            if section == "verts" and words:
                binding.append(_binding(words))
            elif section == "delete_verts":
                _delete(deleted, words)
        except (ValueError, IndexError) as error:
            got = " ".join(words)[:60]
            raise bad_asset(f"invalid {section}", f"{where}: line {number}", got) from error
    if fields.get("basemesh", _BASE_MESH) != _BASE_MESH:
        raise bad_asset("made for another base mesh", where, fields["basemesh"], _BASE_MESH)
    if not 3 <= len(binding) <= MAX_VERTICES:
        expected = f"3 to {MAX_VERTICES:,} lines after verts"
        raise bad_asset("no usable bindings", where, str(len(binding)), expected)
    return fields, " ".join(tags).lower().replace("_", " "), binding, deleted


def _text(path: Path) -> str:
    return read_bytes(path, limit=MAX_BYTES).decode("utf-8", "replace")


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if words:
            yield number, words


def _is_number(word: str) -> bool:
    return bool(re.fullmatch(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?", word))


def _binding(words: list[str]) -> tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...]]:
    """A line of verts: one vertex, or three, their weights and the offset in decimetres."""
    if len(words) not in (1, 9):
        raise ValueError(len(words))
    on = tuple(int(word) for word in words[: 3 if len(words) == 9 else 1])
    numbers = [float(word) for word in words[3:]]
    if not all(0 <= vertex < _BASE_VERTICES for vertex in on) or not np.isfinite(numbers).all():
        raise ValueError(words)
    x, y, z = numbers[3:] or (0.0, 0.0, 0.0)
    return on, tuple(numbers[:3]) or (1.0,), (x, -z, y)


def _delete(deleted: Bool, words: list[str]) -> None:
    """Mark `words`: vertices, and ranges `first - last`."""
    for first, last in re.findall(r"(\d+)(?: - (\d+))?", " ".join(words)):
        begin, end = int(first), int(last or first)
        if not begin <= end < len(deleted):
            raise ValueError(words)
        deleted[begin : end + 1] = True


def _bound(binding: Binding) -> tuple[sparse.csr_array, F32]:
    """(V, N) blends of the base mesh's vertices, and (V, 3) offsets in metres at size 1."""
    column = [vertex for on, _, _ in binding for vertex in on]
    weight = [value for _, weights, _ in binding for value in weights]
    begins = np.cumsum([0, *(len(on) for on, _, _ in binding)])
    rows = sparse.csr_array(
        (np.array(weight, np.float32), np.array(column), begins),
        shape=(len(binding), _BASE_VERTICES),
    )
    return rows, np.array([offset for _, _, offset in binding], np.float32) * _DECIMETRE


def _size(fields: dict[str, str], axis: str, where: str) -> tuple[int, int, float]:
    words = _needed(fields, axis, where).split()
    try:
        first, second, length = int(words[0]), int(words[1]), float(words[2])
        if max(first, second) < _BASE_VERTICES and 0 < length < 1e3 and min(first, second) >= 0:
            return first, second, length * _DECIMETRE
    except (ValueError, IndexError):
        pass
    raise bad_asset(f"invalid {axis}", where, fields[axis][:60], "two vertices and their distance")


def _needed(fields: dict[str, str], name: str, where: str) -> str:
    if not fields.get(name):
        raise bad_asset(f"no {name}", where, "a file without it", f"a line {name}")
    return fields[name]


def _mesh(path: Path, vertices: int) -> tuple[Polygons, Polygons, F32]:
    """The polygons of an OBJ file by vertex and by texture coordinate, and the coordinates."""
    where = str(path)
    faces: Polygons = []
    corner_uv: Polygons = []
    uv: list[tuple[float, float]] = []
    count = 0
    for number, words in _lines(_text(path)):
        try:
            if words[0] == "v":
                count += 1
            elif words[0] == "vt":
                uv.append((float(words[1]), float(words[2])))
            elif words[0] == "f":
                of_vertex, of_uv = _polygon(words[1:], vertices)
                faces.append(of_vertex)
                corner_uv.append(of_uv)
        except (ValueError, IndexError) as error:
            got = " ".join(words)[:60]
            raise bad_asset("invalid line of the mesh", f"{where}: line {number}", got) from error
    if count != vertices:
        raise bad_asset("mesh and bindings differ", where, f"{count} vertices", f"{vertices}")
    if not 1 <= len(faces) <= MAX_FACES:
        raise bad_asset("no usable faces", where, str(len(faces)), f"1 to {MAX_FACES:,}")
    table = np.array(uv, np.float32).reshape(-1, 2)
    places = [place for face in corner_uv for place in face]
    if max(places) >= len(uv) or not np.isfinite(table).all():
        got = f"{len(uv)}, of which {max(places) + 1} are used"
        raise bad_asset("texture coordinates are missing or not finite", where, got)
    if min(places) < 0:
        return faces, [[0] * len(face) for face in faces], np.zeros((1, 2), np.float32)
    return faces, corner_uv, table


def _polygon(words: list[str], vertices: int) -> tuple[list[int], list[int]]:
    """A face's vertices and texture coordinates from 0; of one that has none -1."""
    corners = [(*word.split("/"), "")[:2] for word in words]
    of_vertex = [int(vertex) - 1 for vertex, _ in corners]
    if not 3 <= len(corners) <= MAX_CORNERS or not 0 <= min(of_vertex) <= max(of_vertex) < vertices:
        raise ValueError(words)
    return of_vertex, [int(uv or 0) - 1 for _, uv in corners]


def _look(path: Path, fields: dict[str, str]) -> Appearance:
    """The material, if it exists."""
    where = str(path)
    file = inside(path.parent, fields["material"], where) if fields.get("material") else None
    if file is None or not is_file_below(file.parent, file.name):
        return Appearance(picture=None, relief=None, base_rgb=(1.0, 1.0, 1.0))
    return _material(file, {words[0]: " ".join(words[1:]) for _, words in _lines(_text(file))})


def read_skin(path: Path) -> tuple[str, str, Appearance]:
    """The words, licence and material of a skin's .mhmat, which has a picture; AssetError.

    Its texture lies on the base mesh's own coordinates unless it names others (MakeHuman's
    shared/material.py).
    """
    where, text = str(path), _text(path)
    lines = [words for _, words in _lines(text)]
    look = {words[0]: " ".join(words[1:]) for words in lines}
    own_uv = look.get("uvMap", _BASE_UV)
    if not own_uv.endswith(_BASE_UV):
        raise bad_asset("a skin of another UV", where, own_uv[:100], _BASE_UV)
    found = _material(path, look)
    if found.picture is None:
        raise bad_asset("a skin without a texture", where, look.get("diffuseTexture", "none")[:100])
    tags = [path.stem, *(word for line in lines if line[0] in ("tag", "name") for word in line[1:])]
    return " ".join(tags).lower().replace("_", " "), _licence(text[:_HEAD_CHARS]), found


def _material(file: Path, look: dict[str, str]) -> Appearance:
    """What a material says, with the pictures that exist."""
    given = {name: look.get(name, usual) for name, usual in _NUMBERS.items()}
    try:
        r, g, b, strength = (float(word) for text in given.values() for word in text.split())
        if not np.isfinite([r, g, b, strength]).all():
            raise ValueError(given)
    except ValueError as error:
        got = ", ".join(text[:60] for text in given.values())
        raise bad_asset(f"invalid {' or '.join(given)}", str(file), got) from error
    rgb = (min(max(r, 0.0), 1.0), min(max(g, 0.0), 1.0), min(max(b, 0.0), 1.0))
    picture, normals = (_picture(file, look.get(f"{name}Texture")) for name in _PICTURES)
    relief = None
    if picture is not None and normals is not None:
        relief = _relief(normals, picture.shape[:2], min(max(strength, 0.0), _MAX_STRENGTH))
    return Appearance(picture=picture, relief=relief, base_rgb=rgb)


def _picture(file: Path, name: str | None) -> U8 | None:
    """(h, w, 4) of a picture that a material names, if it exists."""
    path = inside_skins(file, name, str(file)) if name else None
    if path is None or not is_file_below(path.parent, path.name):
        return None
    read = functools.partial(picture_rgba, where=str(path), longest=_MAX_TEXTURE_PX)
    return decode(read_bytes(path), str(path), read)


def _relief(normals: U8, size: tuple[int, int], strength: float) -> U8:
    """`Appearance.relief` of a normal map (h, w, 4) whose x and y count `strength` times."""
    scaled = cv2.resize(normals, size[::-1], interpolation=cv2.INTER_AREA)
    n = (scaled[..., :3] / np.float32(127.5) - 1) * np.array([strength, strength, 1], np.float32)
    n /= np.maximum(np.linalg.norm(n, axis=2, keepdims=True), 1e-3)
    return np.dstack([linear_to_srgb_u8((n + 1) / 2), scaled[..., 3]])


def _licence(head: str) -> str:
    """The licence that a file's head names; "" if none."""
    found = re.search(r"(?im)^\W*licen[cs]e[:\s]+(.{2,80})$", head)
    if found:
        return found[1].strip()
    other = re.search(r"(?i)\bnot\s+(under\s+)?CC0|GPL|CC.BY", head)
    return "CC0" if re.search(r"\bCC0\b", head) and not other else ""


def bad_asset(what: str, where: str, got: str, expected: str | None = None) -> AssetError:
    return AssetError(
        what,
        where=where,
        expected=expected,
        got=got,
        then="Export it from MakeHuman or MPFB again, or remove it.",
    )
