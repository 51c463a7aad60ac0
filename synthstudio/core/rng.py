"""Random numbers: a stream is named by a seed and keys, never by who asks or when."""

import hashlib
import struct

import numpy as np

Key = int | str
Generator = np.random.Generator
"""The type of a stream, for signatures."""


def _encode(key: Key) -> bytes:
    """Encode a key so that no two different key lists share their bytes."""
    if isinstance(key, bool) or not isinstance(key, int | str):
        raise TypeError(f"a stream key is an int or a str, got {type(key).__name__}: {key!r}")
    if isinstance(key, int):
        raw = key.to_bytes((key.bit_length() + 8) // 8, "little", signed=True)
        return b"i" + struct.pack("<I", len(raw)) + raw
    raw = key.encode("utf-8")
    return b"s" + struct.pack("<I", len(raw)) + raw


def named(seed: int, name: str) -> int:
    """The seed of the streams that `seed` and `name` decide together; `seed` itself without one."""
    if not name:
        return seed
    digest = hashlib.blake2b(
        _encode(seed) + _encode(name), digest_size=8, person=b"synthstudio-name"
    ).digest()
    return int.from_bytes(digest, "little")


def stream(seed: int, *keys: Key) -> np.random.Generator:
    """The generator named by `seed` and `keys`: Philox keyed by BLAKE2b of both.

    The same arguments give the same numbers on every machine; streams with different keys
    are independent. There is no default seed and no global state.
    """
    digest = hashlib.blake2b(
        b"".join(_encode(key) for key in (seed, *keys)), digest_size=16, person=b"synthstudio-rng1"
    ).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, dtype="<u8")))
