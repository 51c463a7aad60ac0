"""Random numbers: a stream is named by a seed and keys, independent of caller and order."""

import functools
import hashlib
import struct
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

Key = int | str
Generator = np.random.Generator
"""The type of a stream, for signatures."""


@functools.lru_cache(maxsize=1024, typed=True)  # True is no 1
def _encode(key: Key) -> bytes:
    """Encode a key so that no two different key lists share their bytes."""
    if isinstance(key, bool) or not isinstance(key, int | str):
        raise TypeError(f"a stream key is an int or a str, got {type(key).__name__}: {key!r}")
    if isinstance(key, int):
        raw = key.to_bytes((key.bit_length() + 8) // 8, "little", signed=True)
        return b"i" + struct.pack("<I", len(raw)) + raw
    raw = key.encode("utf-8")
    return b"s" + struct.pack("<I", len(raw)) + raw


class _Key(ISeedSequence):
    """A seed sequence that is the Philox key. `Philox(key=...)` is equivalent but reads system
    entropy that it does not use, for two thirds of its time."""

    def __init__(self, words: NDArray[np.uint64]) -> None:
        self.words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[np.uint64]:
        return self.words


def named(seed: int, name: str) -> int:
    """A seed derived from `seed` and `name`; `seed` itself without a name."""
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
    key: Any = _Key(np.frombuffer(digest, dtype="<u8"))
    return np.random.Generator(np.random.Philox(key))
