"""What a session remembers of its editor between two runs of the page."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from synthstudio.studio.editor import clips
from synthstudio.studio.editor.outbox import Answer, HeldLeases
from synthstudio.studio.editor.queue import QueueRequest, ReviewQueue


@dataclass
class EditorSession:
    """What a session remembers of its editor.

    `position`: the place in the queue round which the browser holds people; `goto` changes when
    the browser shall turn to it, or to `person`; `results`: answers by (client, seq).
    """

    key: str
    user: str
    request: QueueRequest = field(default_factory=QueueRequest)
    queue: ReviewQueue | None = None
    position: int = 0
    goto: str = ""
    answer: Answer = field(default_factory=Answer)
    results: dict[tuple[str, int], tuple[Any, ...]] = field(default_factory=dict)
    last_messages: dict[str, tuple[str, int]] = field(default_factory=dict)
    history_of: str | None = None
    person: str = ""
    address: tuple[str, ...] = ()
    query_error: str = ""
    leases: HeldLeases = field(default_factory=HeldLeases)
    ghosts: str = ""
    poses: Sequence[Mapping[str, Any]] = ()
    sent: tuple[str, Mapping[str, Any]] | None = None
    """The editor's key and what it was told last."""
    drawn: int = 0
    """How many of the page's elements this run has drawn: the style, then the editor."""
    stands_in: bool = False
    """Whether the editor is to stay as it was: in this run the database did not answer."""
    clips: clips.ClipSession = field(default_factory=clips.ClipSession)
    storing: threading.Lock = field(default_factory=threading.Lock)
    """Held while edits are stored: a run that begins meanwhile waits and tells of them."""


def results_of(session: EditorSession) -> dict[str, Any]:
    """Answers to a browser's edits, as it is told them."""
    results = [row for row in [*session.results.values()] if len(row) == 4]  # other runs add to it
    return {
        "tab": session.answer.tab,
        "n": session.answer.n,
        "done": [list(row) for row in results if type(row[2]) is int],
        "refused": [list(row) for row in results if type(row[2]) is str],
        "wait": session.answer.wait,
    }


def take_new(session: EditorSession, what: str, payload: object) -> bool:
    """Whether a state of the browser was not taken yet; it is from now on."""
    if not isinstance(payload, dict):
        return False
    name = (str(payload.get("tab"))[:80], payload.get("n"))
    if session.last_messages.get(what) == name:
        return False
    session.last_messages[what] = name  # type: ignore[assignment]
    return True
