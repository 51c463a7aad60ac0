"""Streaming reader of untrusted JSON of any size: one element in memory, explicit limits.

A list of a million elements is read through a window that grows to the largest element and no
further. A file is refused for an element above `MAX_ELEMENT_CHARS` (one endless string counts),
nesting below Python's own limit of about 1,000, a duplicate key, NaN, text that is not
UTF-8, or trailing text.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from synthstudio.core.errors import FormatError

MAX_ELEMENT_CHARS = 16 * 1024 * 1024
MAX_KEYS = 10_000
_CHUNK = 1 << 18
_BLANK = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True)
class Span:
    """A value and where its text lies in the file: bytes `start` to `stop`."""

    value: Any
    start: int
    stop: int


_KINDS = {"{": "an object", "[": "a list", '"': "a text"}
_BEGINS = '{["-0123456789tfnNI'
"""First characters of values."""
BEGIN = Span(None, -1, -1)
"""Marker before the elements of a streamed list, also of an empty one."""


def quick_scan(*names: str, zero: Sequence[str] = ()) -> re.Pattern[str]:
    """A pattern for the end of an object and its whole numbers under `names`, without parsing.

    It does not match an object nested three deep, one that lacks a name, and one where
    a name in `zero` is missing or not 0: those are parsed. A match may still be invalid JSON.
    """
    digits = {**dict.fromkeys(names, "[0-9]{1,18}+"), **dict.fromkeys(zero, "0")}
    numbers = "".join(rf'"{n}":(?P<{n}>{found})(?=[,}}])|' for n, found in digits.items())
    others = (rf'(?!"(?:{"|".join(digits)})"\s*:)' if digits else "") + _TEXT
    return re.compile(rf'\{{(?:[^"{{}}]++|{numbers}{others}|{_OBJECT})*+\}}')


_TEXT = r'"(?:[^"\\]++|\\.)*+"'
_OBJECT = rf'\{{(?:[^"{{}}]++|{_TEXT})*+\}}'


def read_members(
    path: Path,
    *,
    streamed: Collection[str],
    loose: Collection[str] = (),
    nan: bool = False,
    quick_scans: Mapping[str, re.Pattern[str]] | None = None,
) -> Iterator[tuple[str, Span]]:
    """Yield (key, value) of the object in a file, in the file's order.

    A value under a key in `streamed` must be a list, in `loose` may be one; BEGIN and then each
    of its elements are yielded. FormatError names the fault and its byte. `nan` accepts NaN
    and Infinity, for callers that report each. `quick_scans`: under these keys an
    element matched by `quick_scan` yields these numbers only; the caller must parse its text.
    """
    with closing(_Window(path, _LENIENT if nan else _DECODER)) as window:
        seen: set[str] = set()
        for _ in window.items("{", "}"):
            key = window.value().value
            if not isinstance(key, str):
                window.fail("a key is not text")
            if key in seen or len(seen) >= MAX_KEYS:
                window.fail("a duplicate key, or too many keys", got=key[:80])
            seen.add(key)
            window.take(":")
            if key in streamed or (key in loose and window.peek() == "["):
                yield key, BEGIN
                for span in _elements(window, (quick_scans or {}).get(key)):
                    yield key, span
            else:
                yield key, window.value()
        window.end()


def read_list(path: Path) -> Iterator[Span]:
    """Yield the elements of the list that a file holds, in order; FormatError as above."""
    with closing(_Window(path, _DECODER)) as window:
        yield from _elements(window)
        window.end()


def read_value(path: Path, *, limit: int = MAX_ELEMENT_CHARS) -> Any:
    """All of a small file; FormatError as above, or when it has over `limit` bytes."""
    with _reading(path), path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise _bad(path, "the file is too large", expected=f"at most {limit} bytes")
    return parse(data, str(path))


def parse(data: bytes, where: str, *, nan: bool = False) -> Any:
    """The value of some JSON text; FormatError as above."""
    try:
        text = data.decode("utf-8-sig")
        value = (_LENIENT if nan else _DECODER).decode(text)
        _check_surrogates(value, text)
        return value
    except (ValueError, RecursionError) as error:
        raise FormatError(f"invalid JSON: {_short(error)}", where=where) from error


def _elements(window: _Window, look: re.Pattern[str] | None = None) -> Iterator[Span]:
    for _ in window.items("[", "]"):
        yield (window.glanced(look) if look else None) or window.value()


class _Window:
    def __init__(self, path: Path, parser: json.JSONDecoder) -> None:
        self.path, self._parser = path, parser
        with _reading(path):
            if not path.is_file():
                raise _bad(path, "there is no such file")
            self._file = path.open("rb")
            marked = self._file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8
            self._byte = self._file.seek(len(codecs.BOM_UTF8) if marked else 0)  # of self._at
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._text, self._at, self._ended = "", 0, False

    def close(self) -> None:
        self._file.close()

    def peek(self) -> str:
        """The next character that is not blank; "" at the end."""
        while True:
            found = _BLANK.match(self._text, self._at)
            self._step((found.end() if found else self._at) - self._at)
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def take(self, allowed: str) -> str:
        """The next character, which must be one of `allowed`."""
        found = self.peek()
        if not found or found not in allowed:
            if allowed in _KINDS and found and found in _BEGINS:
                expected = f"{allowed}, the start of {_KINDS[allowed]}"
                got = f"{_KINDS.get(found, 'a value')}: {found}"
                self.fail("JSON of another structure", expected=expected, got=got)
            self.fail("invalid JSON", expected=" or ".join(allowed), got=found or "the end")
        self._step(1)
        return found

    def items(self, begin: str, end: str) -> Iterator[None]:
        """Yield before each item of an object or list, which the caller takes."""
        self.take(begin)
        if self.peek() == end:
            self.take(end)
            return
        while True:
            yield
            if self.take(f",{end}") == end:
                return

    def value(self) -> Span:
        """The next value, which must end within MAX_ELEMENT_CHARS."""
        self.peek()
        while True:
            try:
                value, stop = self._parser.raw_decode(self._text, self._at)
                # A number may continue beyond the window: the 1 of 1e+5 is a number too.
                if stop + 3 <= len(self._text) or self._ended:
                    return self._span(value, stop)
            except (ValueError, RecursionError) as error:
                if self._ended or _is_final(error, self._text):
                    self.fail(f"invalid JSON: {_short(error)}")
            held = len(self._text) - self._at
            if held > MAX_ELEMENT_CHARS:
                self.fail("one element is too long", expected=f"at most {MAX_ELEMENT_CHARS}")
            for _ in range(max(1, held // _CHUNK)):  # doubling: no element is read often
                self._more()

    def glanced(self, look: re.Pattern[str]) -> Span | None:
        """The next value's numbers if `look` matches it inside the window."""
        self.peek()
        found = look.match(self._text, self._at)
        if found is None or None in found.groups():
            return None
        start = self._byte
        self._step(found.end() - self._at)
        return Span({name: int(n) for name, n in found.groupdict().items()}, start, self._byte)

    def end(self) -> None:
        """Refuse text after the file's value."""
        if self.peek():
            self.fail("invalid JSON: text after the end", got=self.peek())

    def fail(self, what: str, *, expected: str | None = None, got: str | None = None) -> NoReturn:
        raise _bad(self.path, what, expected=expected, got=got, at=self._byte)

    def _span(self, value: Any, stop: int) -> Span:
        try:
            _check_surrogates(value, self._text[self._at : stop])
        except ValueError as error:
            self.fail(f"invalid JSON: {_short(error)}")
        start = self._byte
        self._step(stop - self._at)
        return Span(value, start, self._byte)

    def _step(self, chars: int) -> None:
        passed = self._text[self._at : self._at + chars]
        self._byte += chars if passed.isascii() else len(passed.encode("utf-8", "surrogatepass"))
        self._at += chars

    def _more(self) -> bool:
        if self._ended:
            return False
        try:
            with _reading(self.path):
                data = self._file.read(_CHUNK)
            more = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise _bad(self.path, f"not UTF-8: {error}") from error
        self._ended = not data
        self._text, self._at = self._text[self._at :] + more, 0
        return not self._ended


def _is_final(problem: Exception, text: str) -> bool:
    """Whether a parse error is final: more text cannot resolve it."""
    if not isinstance(problem, json.JSONDecodeError):
        return True  # a number with too many digits, a doubled key
    return problem.pos < len(text) - 16 and not problem.msg.startswith("Unterminated")


def _check_surrogates(value: Any, text: str) -> None:
    """Raise ValueError for a lone surrogate, which an escape can encode and UTF-8 cannot."""
    if "\\" in text and ("\\ud" in text or "\\uD" in text):
        json.dumps(value, ensure_ascii=False).encode("utf-8")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _InvalidJson(f"the key {twice[:80]} is duplicated")
    return found


class _InvalidJson(ValueError):
    """A duplicate key, or NaN; not a JSONDecodeError, so that the reader does not wait for more."""


def _no_constant(name: str) -> NoReturn:
    raise _InvalidJson(f"{name} is not a JSON number")


def _whole(text: str) -> int | float:
    """A whole number; beyond the range of float infinite, as 1e400."""
    return int(text) if len(text) < _FLOAT_DIGITS else float(text)


_FLOAT_DIGITS = 300
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_whole
)
_LENIENT = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_whole)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn an OSError into a FormatError that names the file."""
    try:
        yield
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror or error}") from error


def _bad(
    path: Path,
    what: str,
    *,
    expected: str | None = None,
    got: str | None = None,
    at: int | None = None,
) -> FormatError:
    where = str(path) if at is None else f"{path}, byte {at}"
    return FormatError(what, where=where, expected=expected, got=got)


def _short(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:200]
