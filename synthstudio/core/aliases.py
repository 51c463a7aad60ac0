"""Old names that still work: of keys in recipes and configs, of values in files."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

LOG = logging.getLogger("synthstudio")
_noted: set[tuple[str, str]] = set()


def rename_keys(
    data: Mapping[str, Any], renamed: Mapping[str, str], *, where: str
) -> dict[str, Any]:
    """`data` with old keys under their new names (`renamed`: old -> new).

    Each old key is noted once per process. A key given under both names is left alone, so that
    the reader refuses the old one as unknown.
    """
    out: dict[str, Any] = {}
    for key, value in data.items():
        new = renamed.get(key, key)
        if new != key and new not in data:
            note_renamed(where, key, new)
            out[new] = value
        else:
            out[key] = value
    return out


def note_renamed(where: str, old: str, new: str) -> None:
    """Log, once per process, that an old name is deprecated."""
    if (old, new) not in _noted:
        _noted.add((old, new))
        LOG.warning("%s: %r is deprecated; write %r instead.", where, old, new)
