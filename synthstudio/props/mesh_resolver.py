"""Trimesh's access to files beside a mesh: a separate module, as importing trimesh is slow."""

from __future__ import annotations

from pathlib import Path

from trimesh.resolvers import Resolver

from synthstudio.core.errors import AssetError
from synthstudio.core.images import read_bytes
from synthstudio.props.mesh_files import MAX_BYTES, check_picture, inside, texture_of

_NOT_PICTURES = (".mtl", ".bin")


class FolderResolver(Resolver):
    """Gives a loader the files of one folder; `refusals` records refused requests.

    Loaders swallow a resolver's exceptions, so callers must check it afterwards.
    """

    def __init__(self, folder: Path, where: str) -> None:
        self.folder = folder
        self.where = where
        self.refusals: list[AssetError] = []

    def get(self, key: str) -> bytes:
        """The bytes of the file called `key`, a decodable picture unless .mtl or .bin.

        For a `map_Kd` line trimesh requests all text after the word.
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
        """Refuse: user folders are never written to."""
        raise AssetError("a mesh loader tried to write", where=self.where, got=name)

    def namespaced(self, namespace: str) -> FolderResolver:
        """The same resolver: subfolders are part of the names."""
        return self

    def keys(self) -> list[str]:
        """No names: files are found on request."""
        return []
