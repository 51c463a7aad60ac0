"""What trimesh may open beside a mesh file: apart, for trimesh takes half a second to import."""

from __future__ import annotations

from pathlib import Path

from trimesh.resolvers import Resolver

from synthstudio.core.errors import AssetError
from synthstudio.core.images import read_bytes
from synthstudio.props.mesh_files import MAX_BYTES, check_picture, inside, texture_of

_NOT_PICTURES = (".mtl", ".bin")


class FolderResolver(Resolver):
    """Hands a loader files of one folder; `refusals` keeps what was asked for and refused.

    Loaders swallow what a resolver raises, so whoever uses one must look there afterwards.
    """

    def __init__(self, folder: Path, where: str) -> None:
        self.folder = folder
        self.where = where
        self.refusals: list[AssetError] = []

    def get(self, key: str) -> bytes:
        """The bytes of the file called `key`, a decodable picture unless .mtl or .bin.

        Of a `map_Kd` line trimesh asks for all that follows the word.
        """
        try:
            path = inside(self.folder, texture_of(key)[0], self.where)
            data = read_bytes(path, limit=MAX_BYTES)
            if path.suffix.lower() not in _NOT_PICTURES:
                check_picture(data, f"{self.where}: {key}")
        except AssetError as error:
            self.refusals.append(error)
            raise
        return data

    def write(self, name: str, data: bytes) -> None:
        """Refuse: nothing is written beside the user's files."""
        raise AssetError("a mesh loader wants to write", where=self.where, got=name)

    def namespaced(self, namespace: str) -> FolderResolver:
        """The same resolver: subfolders are part of the names."""
        return self

    def keys(self) -> list[str]:
        """No names: files are found when they are asked for."""
        return []
