"""The review store: export, import, checks, statistics, history, backup, members.

`db` is a database's address, sqlite:///FILE or postgresql://USER@HOST/NAME; by default that of
the store with reviews of the data set, else studio/review.db beside it, where the studio keeps
its own. Needs `synthstudio[studio]`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

from synthstudio.api import arguments as args
from synthstudio.api.datasets import Dataset
from synthstudio.core.errors import ArgumentError, ReviewError
from synthstudio.core.places import disk_errors, resolved
from synthstudio.core.progress import note, progress_steps
from synthstudio.dataset.reader import Dataset as StoredDataset
from synthstudio.formats.export import Exported

try:
    from synthstudio.review import history, imports, reviewed
    from synthstudio.review import store as stores
    from synthstudio.review.history import content_key, register
    from synthstudio.review.reviewed import Only
    from synthstudio.review.risk import findings
    from synthstudio.review.store import Store
    from synthstudio.review.team import accounts as team_accounts
    from synthstudio.review.team import members as team
    from synthstudio.review.values import Event, User
except (ImportError, ReviewError) as error:  # without the extra, only calls fail
    _missing: Exception | None = error
else:
    _missing = None
    ME = User(name="command line", role="admin")  # who can write to the database is an admin

Role = Annotated[str, args.Option(choices=("viewer", "reviewer", "lead", "admin"))]
"""Rising permissions."""
Reviewed = Annotated[args.PathLike, args.Option(help="Folder of a dataset.")]
Address = Annotated[str | None, args.Option(envvar="SYNTHSTUDIO_URL")]


def export_reviewed(
    dataset: Reviewed,
    out: args.PathLike,
    *,
    format: args.Format = "coco",
    only: Annotated[Only, args.Option(choices=("approved", "touched", "all"))] = "approved",
    skeleton: args.SkeletonLike | None = None,
    db: args.Database = None,
) -> Exported:
    """Write the reviewed labels in another tool's format.

    Args:
        out: Folder for the labels; of a dataset also a URL.
        only: Frames with an approved person or marked as empty, or touched, or all.
        skeleton: Convert the joints to this one: coco17, mpii16, crowdpose14, h36m17, lsp14,
            ochuman19, or the file of one of your own.

    Raises:
        ReviewError: for a missing store, or one without reviews.
    """
    folder = args.to_folder(out, "out")
    joints = None if skeleton is None else args.to_skeleton(skeleton).name
    with opened(dataset, db) as (store, data):
        return reviewed.export_reviewed(
            store, data, folder, form=format, only=only, skeleton=joints
        )


def reviewed_dataset(
    dataset: Reviewed, out: args.PathLike, *, only: Only = "approved", db: str | None = None
) -> Dataset:
    """Write the reviewed labels as a new data set, in a folder or at a URL."""
    folder = args.to_place(out, "out")
    with opened(dataset, db) as (store, data):
        reviewed.reviewed_dataset(store, data, folder, only=only)
    return Dataset(folder)


def import_corrections(
    dataset: Reviewed,
    path: args.PathLike,
    *,
    by: str,
    format: args.Format = "coco",
    images: args.PathLike | None = None,
    db: args.Database = None,
) -> imports.ImportResult:
    """Import corrections from another tool: one event per person that differs.

    Args:
        path: Corrected file or folder of another tool.
        by: Author of the corrections.
        images: Folder of the images; default: beside the file.

    Raises:
        FormatError: for a file that is unreadable or of other frames.
    """
    where = args.optional(args.to_path, images, "images")
    with opened(dataset, db, make=True) as (store, data):
        who = User(name=by, role="lead")
        return imports.import_corrections(
            store, data, args.to_path(path, "path"), form=format, who=who, images=where
        )


def import_predictions(
    dataset: Reviewed,
    path: args.PathLike,
    *,
    layer: str,
    images: args.PathLike | None = None,
    db: args.Database = None,
) -> imports.PredictionsImported:
    """Import a network's predictions, a COCO results or keypoints file, as a layer for review.

    Args:
        path: COCO results or keypoints file of a network.
        layer: Name of the network.
        images: Folder of its images, to match by content; default: image ids are
            numbers of frames.

    Raises:
        FormatError: for a file that is unreadable, or of other frames or joints.
    """
    where = args.optional(args.to_path, images, "images")
    with opened(dataset, db, make=True) as (store, data):
        who = User(name="command line", role="lead")
        return imports.import_predictions(
            store, data, args.to_path(path, "path"), layer=layer, who=who, images=where
        )


def check(
    dataset: Reviewed,
    *,
    frames: args.Count | None = None,
    audit: bool = True,
    audited: args.PathLike | None = None,
    assets: args.StoredAssets = None,
    workers: args.Workers = 1,
    device: args.Device = "auto",
    db: args.Database = None,
) -> dict[str, dict[str, int]]:
    """Validate and audit a data set and store suspicious people for the risk queue.

    Args:
        frames: Only the first N frames.
        audit: Also audit by ray casting, which is slow.
        audited: Use this output of audit --json instead of an audit.
    """
    with opened(dataset, db, make=True) as (store, data):
        with progress_steps() as begin:
            found = {"validation": findings.validate_rows(store, data, frames=frames, begin=begin)}
            if audited is not None:
                file = args.to_path(audited, "audited")
                found["audit"] = findings.import_audit(store, data, file)
            elif audit:
                found["audit"] = findings.audit_by_rays(
                    store,
                    data,
                    frames=frames,
                    assets=args.optional(args.to_path, assets, "assets"),
                    workers=workers,
                    device=device,
                    begin=begin,
                )
        total = data.frames
    return {
        kind: {"people": run.people, "frames": run.frames or total} for kind, run in found.items()
    }


def counts(dataset: Reviewed, *, db: args.Database = None) -> history.Counts:
    """Progress of the review of a data set, in total and by reviewer."""
    with opened(dataset, db) as (store, data):
        return history.counts(store, content_key(data))


def events(
    dataset: Reviewed,
    *,
    frame: args.Whole | None = None,
    instance: args.Count | None = None,
    who: str | None = None,
    limit: Annotated[int, args.Option(minimum=1, maximum=1_000_000)] = 100,
    db: args.Database = None,
) -> list[Event]:
    """The last events, oldest first.

    Args:
        frame: Only people of this frame.
        instance: Only this person.
        who: Only events of this author.
        limit: Only the last N events.
    """
    with opened(dataset, db) as (store, data):
        found = (
            event
            for event in history.iter_events(store, content_key(data), who=who)
            if frame in (None, event.person.frame) and instance in (None, event.person.instance)
        )
        return list(deque(found, maxlen=limit))


def check_replay(dataset: Reviewed, *, db: args.Database = None) -> list[str]:
    """Replay all events and compare with the items; one line per mismatch."""
    with opened(dataset, db) as (store, data):
        return list(history.check_replay(store, content_key(data)))


def backup(db: args.StoreUrl, out: args.PathLike) -> int:
    """Copy a store's snapshot to a file; returns its size in bytes.

    Args:
        out: New file for the copy.
    """
    target = args.to_file(out, "out", new=True)
    with _store(db, make=False) as store:
        stores.backup(store, target)
    return target.stat().st_size


def members(db: args.StoreUrl, *, role_of: dict[str, str | None] | None = None) -> dict[str, str]:
    """Members of a store and their roles; `role_of` sets roles first, None removes a member."""
    with _store(db, make=any((role_of or {}).values())) as store:
        for name, role in (role_of or {}).items():
            team.set_role(store, name, role, by=ME)  # type: ignore[arg-type]
        return dict(team.members(store))


def tokens(
    db: args.StoreUrl,
    *,
    make: str | None = None,
    role: Role | None = None,
    label: str = "token",
    days: Annotated[int, args.Option(minimum=1, maximum=366)] = 90,
    revoke: args.Count | None = None,
) -> tuple[list[team.Token], str | None]:
    """API tokens, including inactive ones; `make`: create one for this person first.

    Args:
        make: Member to make a token for, printed once.
        role: With `make`: the role, at most the member's own.
        label: With `make`: what it is for.
        days: With `make`: days until it expires.
        revoke: Number of a token to revoke.

    Returns:
        The tokens, and the text of the new one, which is not stored.
    """
    with _store(db, make=False) as store:
        text = None
        if make is not None:
            own = team.role_of(store, make)
            if own is None:
                raise ArgumentError(
                    "this person has no role yet",
                    where="make",
                    expected="a member",
                    got=repr(make),
                    then=f"Give one: synthstudio review members --set {make!r} --role reviewer.",
                )
            chosen: Any = role or own
            _, text = team.make_token(store, make, role=chosen, by=ME, label=label, days=days)
        if revoke is not None:
            team.revoke_token(store, revoke, by=ME)
        return team.tokens(store), text


@contextmanager
def _store(url: str, *, make: bool = True) -> Iterator[Store]:
    """An open store; ReviewError without the extra `studio`."""
    if _missing is not None:
        raise _missing
    with closing(stores.open_store(url, make=make)) as store:
        yield store


@contextmanager
def opened(
    path: args.PathLike, db: str | None, *, make: bool = False
) -> Iterator[tuple[Store, StoredDataset]]:
    """Open a data set and the store of its reviews; `make`: to write, so it is registered."""
    if _missing is not None:
        raise _missing
    data = Dataset(args.to_place(path, "dataset"))._stored
    folder = None if db else _folder_of(data)
    url = stores.default_url(folder) if folder else db
    if url is None:
        raise ArgumentError(
            "no local reviews of a data set at a URL",
            where=str(data.place),
            then="Name the store: --db sqlite:///review.db.",
        )
    if make and folder is not None:
        with disk_errors(folder):
            folder.mkdir(exist_ok=True)
    with _store(url, make=make) as store:
        if make and content_key(data) not in history.datasets(store):
            register(store, data, resolved(data.place).name)
        yield store, data


def _folder_of(data: StoredDataset) -> Path | None:
    """The folder of the local store with reviews of a data set, else of the studio's beside it.

    Searched: review.db beside the set, and the studio's, which it keeps below its exports
    folder (`studio --exports`): the set's own, the one above it, or ./exports. ArgumentError if
    several have reviews of the set.
    """
    key, beside = content_key(data), data.folder.resolve().parent
    near = (beside, beside.parent) if isinstance(data.place, Path) else ()
    studios = [folder / "studio" for folder in (*near, Path("exports").resolve())]
    found = []
    for folder in dict.fromkeys((*near[:1], *studios)):
        if (folder / stores.FILE_NAME).is_file():
            with _store(stores.default_url(folder), make=False) as store:
                if key in history.datasets(store):
                    found.append(folder)
    paths = " and ".join(str(folder / stores.FILE_NAME) for folder in found)
    if len(found) > 1:
        raise ArgumentError(
            "several stores have reviews of this data set",
            where=str(data.place),
            got=paths,
            then="Name one by --db sqlite:///FILE.",
        )
    if found:
        note(f"reviews: {paths}")
    return (found or studios)[0] if near or found else None


def invite(
    db: args.StoreUrl, name: str, *, role: Role = "reviewer", url: Address = None
) -> tuple[team_accounts.Code, str]:
    """Invite a person to a store's studio; return the code and the link, which is shown once.

    Args:
        name: Name to sign in by.
        role: Role of the new member; existing members keep theirs.
        url: Address of the studio, for the link: https://HOST; else the link begins with a slash.
    """
    chosen: Any = role
    return _linked(db, url, lambda store: team_accounts.invite(store, name, role=chosen, by=ME))


def reset_password(
    db: args.StoreUrl, name: str, *, url: Address = None
) -> tuple[team_accounts.Code, str]:
    """Reset a password and end all sessions; return a new code and its link, shown once.

    Args:
        name: Name to sign in by.
        url: Address of the studio, for the link: https://HOST; else the link begins with a slash.
    """
    return _linked(
        db, url, lambda store: team_accounts.reset_password(store, name, by=ME), new=False
    )


def accounts(db: args.StoreUrl, *, revoke: str | None = None) -> list[team_accounts.Account]:
    """Members and invited people, by name.

    Args:
        revoke: Account to revoke first, with its sessions, tokens and invitations.
    """
    with _store(db, make=False) as store:
        if revoke is not None:
            team_accounts.revoke_account(store, revoke, by=ME)
        return team_accounts.accounts(store)


def _linked(
    db: str,
    url: str | None,
    make: Callable[[Store], tuple[team_accounts.Code, str]],
    *,
    new: bool = True,
) -> tuple[team_accounts.Code, str]:
    """A new code and its link to the studio at `url`; `new`: the store may be made."""
    origin = "" if url is None else args.to_studio(url)
    with _store(db, make=new) as store:
        code, text = make(store)
    return code, team_accounts.code_link(origin, text)
