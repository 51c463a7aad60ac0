"""Every error this package raises on purpose.

A message states what is wrong, where (file, field path, frame), what was expected, what was
found and the remedy. The command line prints it and exits with 1.
"""

import importlib
import re
from types import ModuleType

_MAX = {"what": 3000, "where": 500, "expected": 500, "got": 1000}
"""Maximum characters of each field: a value may be a whole file in one line."""


_OPTION = re.compile(r"synthstudio [a-z][^.;:]*|--([a-z][a-z-]*)")
_ARGUMENTS = {"as": "kind", "write": "recipe", "challenge": "challenges", "sure": "min_score"}
"""Options -> arguments of the Python API, where the names differ."""


class SynthStudioError(Exception):
    """Base of all errors that the user can fix.

    The fields make one sentence in an order that all messages share; a message without fields
    is unchanged. Messages name options of the command line (`with_options`);
    `str` of an error names arguments of the Python API.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        got: str | None = None,
        then: str | None = None,
    ) -> None:
        self.what, self.where, self.details = _cut("what", what), where, ""
        if where is None and expected is None and got is None and then is None:
            super().__init__(self.what)
            return
        parts = [f"{_cut('where', where)}: {self.what}" if where else self.what]
        if expected is not None:
            parts.append(f"expected {_cut('expected', expected)}")
        if got is not None:
            parts.append(f"got {_cut('got', got)}")
        text = "; ".join(parts).removesuffix(".") + "."
        self.details = "; ".join(parts[1:])
        super().__init__(f"{text} {then}" if then else text)

    @property
    def with_options(self) -> str:
        """The message for the command line."""
        return super().__str__()

    def __str__(self) -> str:
        return _OPTION.sub(_argument, self.with_options)


def _argument(found: re.Match[str]) -> str:
    if found[1] is None:  # a command line
        return found[0]
    return f"`{_ARGUMENTS.get(found[1], found[1].replace('-', '_'))}`"


def _cut(name: str, text: str) -> str:
    return text if len(text) <= _MAX[name] else f"{text[: _MAX[name]]}…"


class ArgumentError(SynthStudioError, ValueError):
    """A function of the Python API was given a value of the wrong type or out of range."""


class RecipeError(SynthStudioError):
    """A recipe is unreadable, has an unknown field or value, or cannot be satisfied."""


class AssetError(SynthStudioError):
    """A file from outside is missing, damaged, too large or of the wrong kind."""


class GeometryError(SynthStudioError):
    """A scene lies outside what the rasteriser handles exactly."""


class DatasetError(SynthStudioError):
    """A data set on disk is not empty, locked, damaged or of another recipe."""


class FormatError(SynthStudioError):
    """Another tool's file cannot be imported: damaged, hostile or of another layout."""


class ModelError(SynthStudioError):
    """A network, a checkpoint or a training run does not fit its data or its configuration."""


class StudioError(SynthStudioError):
    """Invalid settings of the studio, or a refused request."""

    def __str__(self) -> str:
        return self.with_options


class DiskError(SynthStudioError):
    """Writing failed: disk full, read-only or no permission."""


class ReviewError(SynthStudioError):
    """A review store is of another version, unreadable, or lacks an item."""


class Refused(ReviewError):
    """A reviewer's action is rejected and nothing was changed.

    `reason`: "role", "revision", "lease", "invalid", "gone" (no such person any more) or "busy"
    (valid, retry later). `state`: for "revision", the item as it is
    now (review.values.ItemState).
    """

    def __init__(
        self, what: str, *, reason: str, state: object | None = None, **fields: str | None
    ) -> None:
        super().__init__(what, **fields)
        self.reason, self.state = reason, state


class DeviceError(SynthStudioError):
    """A device, driver or system library is missing."""


class WorkerError(SynthStudioError):
    """A worker process died, or one frame failed twice."""


def import_extra(
    module: str, *, extra: str, error: type[SynthStudioError] = ModelError
) -> ModuleType:
    """A module of an optional extra; without it `error` names the extra to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.split(".")[0] != module.split(".")[0]:
            raise
        raise error(
            f"{missing.name} is not installed",
            then=f'Install it: pip install "synthstudio[{extra}]".',
        ) from missing
