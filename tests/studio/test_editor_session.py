"""What the browser is told while another run of the page is still storing what it said."""

from pathlib import Path

import pytest

from synthstudio.review.values import MAIN, User
from synthstudio.studio.context import Context
from synthstudio.studio.editor import session as editor
from synthstudio.studio.editor import window
from synthstudio.studio.editor.queue import QueueRequest, build_queue
from synthstudio.studio.editor.remembered import EditorSession
from synthstudio.studio.settings import parse

ADA = User(name="Ada", role="admin")


@pytest.fixture
def ctx(studio_set: Path, tmp_path: Path):
    found = Context(parse([str(studio_set), "--exports", str(tmp_path / "exports")], {}))
    yield found
    found.store.close()


def test_no_edit_is_called_done_that_the_people_sent_with_it_do_not_have(ctx, monkeypatch):
    """A run reads people; another stores an edit of one; the first says what is done.

    The browser would then drop the edit, show the person as before, and its next edit, an undo say,
    would be of a revision that is no more.
    """
    (chosen,) = ctx.sets.values()
    session = EditorSession(key=chosen.key, user="Ada")
    session.queue = build_queue(ctx.store, chosen.table, QueueRequest(todo=False), who=ADA)
    frame, instance = session.queue.people(chosen.table, 0, 1)[0]
    op = {
        "client": "abcdefgh", "seq": 1, "dataset": chosen.key, "frame": frame,
        "instance": instance, "revision": 0, "kind": "status", "status": "approved",
    }  # fmt: skip
    said = {"v": 1, "tab": "abcdefgh", "n": 1, "ops": [op]}
    read = window.items

    def items(*args, **kwargs):
        found = read(*args, **kwargs)
        editor._take_outbox(ctx, "Ada", chosen, session, said, layer=MAIN)
        return found

    monkeypatch.setattr(editor, "user_now", lambda ctx, who: ADA)
    monkeypatch.setattr(editor, "image_url", lambda *args, **kwargs: "")
    monkeypatch.setattr(window, "items", items)
    for at_least in (0, 1):
        data = editor._browser_data(ctx, ADA, chosen, session)
        (shown,) = [item for item in data["items"] if item["id"] == f"{frame}:{instance}"]
        done = data["results"]["done"]
        assert all(revision <= shown["state"]["revision"] for *_, revision in done)
        assert len(done) >= at_least and not data["results"]["refused"]
