"""The tables of the review store. Events are the truth; `item` is what they add up to.

Times are UTC. JSON columns hold plain values. A person is (dataset, frame, instance, layer).
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    and_,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from synthstudio.review.values import MAIN, Person

SCHEMA = "0012"
"""Of the tables below; it rises with every change of them."""
KEY_LENGTH = 64
NAME_LENGTH = 80
Json = dict[str, Any]


class UtcTime(TypeDecorator[datetime]):
    """A moment: stored as UTC without a zone, read as an aware datetime in UTC."""

    impl = DateTime(timezone=False)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time in the review store needs its zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """The base of all tables, whose constraints have names that a migration can use."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def _dataset_key(*, primary: bool = False) -> Mapped[str]:
    return mapped_column(String(KEY_LENGTH), ForeignKey("dataset.key"), primary_key=primary)


def _layer(*, primary: bool = True) -> Mapped[str]:
    return mapped_column(String(NAME_LENGTH), primary_key=primary, default=MAIN)


class SchemaRow(Base):
    """The schema of the store, in the table in which Alembic looks for it."""

    __tablename__ = "alembic_version"

    version_num: Mapped[str] = mapped_column(String(32), primary_key=True)


class DatasetRow(Base):
    """A data set that is reviewed; `key`: the hash of its content (review/datasets.py)."""

    __tablename__ = "dataset"

    key: Mapped[str] = mapped_column(String(KEY_LENGTH), primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    skeleton: Mapped[str] = mapped_column(Text)
    """A name for `get_skeleton`: of an own skeleton its whole definition."""
    people: Mapped[int] = mapped_column(Integer)
    added_at: Mapped[datetime] = mapped_column(UtcTime)


class ItemRow(Base):
    """What all events of a person add up to. No row: nobody has touched this person."""

    __tablename__ = "item"
    __table_args__ = (Index(None, "dataset", "layer", "status"),)

    dataset: Mapped[str] = _dataset_key(primary=True)
    frame: Mapped[int] = mapped_column(Integer, primary_key=True)
    instance: Mapped[int] = mapped_column(Integer, primary_key=True)
    layer: Mapped[str] = _layer()
    revision: Mapped[int] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text, default="")
    joints: Mapped[Json] = mapped_column(JSON, default=dict)
    """Joint name -> {x_px, y_px, state, cause, origin}: only joints that somebody changed."""
    box: Mapped[list[float] | None] = mapped_column(JSON(none_as_null=True))
    """x, y, width and height as somebody drew it."""
    masks: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    """`modal`, `amodal` -> compressed COCO counts of a mask of the picture's size."""
    distrusts: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Models whose prediction of the person somebody called wrong."""
    track: Mapped[int | None] = mapped_column(Integer)
    """Who it is over time, as somebody corrected it."""
    keyed: Mapped[bool | None] = mapped_column(Boolean)
    """Whether somebody made it a key frame, or filled it in between key frames."""
    deleted: Mapped[bool] = mapped_column(Boolean, default=False)
    added: Mapped[bool] = mapped_column(Boolean, default=False)
    who: Mapped[str | None] = mapped_column(String(NAME_LENGTH))
    when: Mapped[datetime | None] = mapped_column(UtcTime)
    comments: Mapped[int] = mapped_column(Integer, default=0)


class EventRow(Base):
    """Something that somebody did to a person. Rows are only ever added."""

    __tablename__ = "event"
    __table_args__ = (
        UniqueConstraint("client", "seq"),
        UniqueConstraint("dataset", "frame", "instance", "layer", "revision"),
        Index(None, "dataset", "id"),
        Index(None, "dataset", "who", "when"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    dataset: Mapped[str] = _dataset_key()
    frame: Mapped[int] = mapped_column(Integer)
    instance: Mapped[int] = mapped_column(Integer)
    layer: Mapped[str] = _layer(primary=False)
    revision: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(16))
    who: Mapped[str] = mapped_column(String(NAME_LENGTH))
    when: Mapped[datetime] = mapped_column(UtcTime)
    before: Mapped[Json] = mapped_column(JSON)
    after: Mapped[Json] = mapped_column(JSON)
    client: Mapped[str] = mapped_column(String(NAME_LENGTH))
    seq: Mapped[int] = mapped_column(Integer)
    reverts: Mapped[int | None] = mapped_column(Integer, ForeignKey("event.id"))


class LeaseRow(Base):
    """Who alone may work on a person for now."""

    __tablename__ = "lease"
    __table_args__ = (Index(None, "dataset", "who"),)

    dataset: Mapped[str] = _dataset_key(primary=True)
    frame: Mapped[int] = mapped_column(Integer, primary_key=True)
    instance: Mapped[int] = mapped_column(Integer, primary_key=True)
    layer: Mapped[str] = _layer()
    who: Mapped[str] = mapped_column(String(NAME_LENGTH))
    until: Mapped[datetime] = mapped_column(UtcTime)


class AssignmentRow(Base):
    """Who shall look at a person, as a lead (`by`) decided; `due`: until the end of which day."""

    __tablename__ = "assignment"
    __table_args__ = (Index(None, "dataset", "who"),)

    dataset: Mapped[str] = _dataset_key(primary=True)
    frame: Mapped[int] = mapped_column(Integer, primary_key=True)
    instance: Mapped[int] = mapped_column(Integer, primary_key=True)
    layer: Mapped[str] = _layer()
    who: Mapped[str] = mapped_column(String(NAME_LENGTH))
    by: Mapped[str] = mapped_column(String(NAME_LENGTH))
    when: Mapped[datetime] = mapped_column(UtcTime)
    due: Mapped[date | None] = mapped_column(Date)


class MemberRow(Base):
    """Somebody with a role in this store, and who gave it when."""

    __tablename__ = "member"

    name: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    by: Mapped[str | None] = mapped_column(String(NAME_LENGTH))
    when: Mapped[datetime | None] = mapped_column(UtcTime)


class TokenRow(Base):
    """What a program shows to be taken for a person; only its hash is kept."""

    __tablename__ = "token"
    __table_args__ = (Index(None, "digest", unique=True), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    digest: Mapped[str] = mapped_column(String(KEY_LENGTH))
    who: Mapped[str] = mapped_column(String(NAME_LENGTH))
    role: Mapped[str] = mapped_column(String(16))
    """At most: a person who may less has less by the token too."""
    label: Mapped[str] = mapped_column(String(NAME_LENGTH))
    by: Mapped[str] = mapped_column(String(NAME_LENGTH))
    made: Mapped[datetime] = mapped_column(UtcTime)
    until: Mapped[datetime] = mapped_column(UtcTime)
    revoked: Mapped[datetime | None] = mapped_column(UtcTime)


class AccountRow(Base):
    """Somebody who signs in with a password; `password` None: none, until a code chooses one."""

    __tablename__ = "account"

    name: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    password: Mapped[str | None] = mapped_column(Text)
    """Its hash by argon2id, with the parameters."""
    by: Mapped[str] = mapped_column(String(NAME_LENGTH))
    made: Mapped[datetime] = mapped_column(UtcTime)
    changed: Mapped[datetime | None] = mapped_column(UtcTime)
    """When the password was chosen."""
    revoked: Mapped[datetime | None] = mapped_column(UtcTime)


class CodeRow(Base):
    """What lets somebody choose a password once: an invitation, or after a reset."""

    __tablename__ = "account_code"
    __table_args__ = (Index(None, "name"),)

    digest: Mapped[str] = mapped_column(String(KEY_LENGTH), primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    kind: Mapped[str] = mapped_column(String(16))
    role: Mapped[str] = mapped_column(String(16))
    """At most: whoever is given more meanwhile needs a new code."""
    by: Mapped[str] = mapped_column(String(NAME_LENGTH))
    made: Mapped[datetime] = mapped_column(UtcTime)
    until: Mapped[datetime] = mapped_column(UtcTime)


class SessionRow(Base):
    """A browser in which somebody signed in; only the hash of its cookie is kept."""

    __tablename__ = "sign_in"
    __table_args__ = (Index(None, "name"),)

    digest: Mapped[str] = mapped_column(String(KEY_LENGTH), primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH), ForeignKey("account.name"))
    made: Mapped[datetime] = mapped_column(UtcTime)
    seen: Mapped[datetime] = mapped_column(UtcTime)


class TriesRow(Base):
    """Wrong tries to sign in, of an account or of an address; `key` is a hash of which."""

    __tablename__ = "sign_in_tries"

    key: Mapped[str] = mapped_column(String(KEY_LENGTH), primary_key=True)
    wrong: Mapped[int] = mapped_column(Integer)
    last: Mapped[datetime] = mapped_column(UtcTime)
    until: Mapped[datetime] = mapped_column(UtcTime)
    """No other try before."""


class WebhookRow(Base):
    """An address that is told of decisions. `last`: the event up to which it was told."""

    __tablename__ = "webhook"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    dataset: Mapped[str] = _dataset_key()
    url: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(String(NAME_LENGTH))
    made: Mapped[datetime] = mapped_column(UtcTime)
    salt: Mapped[str] = mapped_column(String(KEY_LENGTH))
    """Of its secret, which is nowhere stored."""
    last: Mapped[int] = mapped_column(Integer)
    tries: Mapped[int] = mapped_column(Integer, default=0)
    due: Mapped[datetime] = mapped_column(UtcTime)
    state: Mapped[str] = mapped_column(String(16))
    note: Mapped[str] = mapped_column(Text, default="")
    comments: Mapped[bool] = mapped_column(Boolean, default=False)
    """Whether it hears of threads of comments, too."""


class SavedViewRow(Base):
    """A query with its options, under a name. `who` None: for all."""

    __tablename__ = "saved_view"
    __table_args__ = (UniqueConstraint("dataset", "who", "name"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    dataset: Mapped[str] = _dataset_key()
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    who: Mapped[str | None] = mapped_column(String(NAME_LENGTH))
    query: Mapped[str] = mapped_column(Text)
    options: Mapped[Json] = mapped_column(JSON, default=dict)


class JobRow(Base):
    """A process that makes something: outlives the browser and the server."""

    __tablename__ = "job"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(16))
    who: Mapped[str] = mapped_column(String(NAME_LENGTH))
    spec: Mapped[Json] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16), index=True)
    pid: Mapped[int | None] = mapped_column(Integer)
    created: Mapped[datetime] = mapped_column(UtcTime)
    started: Mapped[datetime | None] = mapped_column(UtcTime)
    ended: Mapped[datetime | None] = mapped_column(UtcTime)
    progress: Mapped[Json] = mapped_column(JSON, default=dict)
    message: Mapped[str] = mapped_column(Text, default="")
    out: Mapped[str | None] = mapped_column(Text)


class PredictionRow(Base):
    """What a model says of a person; `layer` is the model's name."""

    __tablename__ = "prediction"

    dataset: Mapped[str] = _dataset_key(primary=True)
    layer: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    frame: Mapped[int] = mapped_column(Integer, primary_key=True)
    instance: Mapped[int] = mapped_column(Integer, primary_key=True)
    joints: Mapped[Json] = mapped_column(JSON)
    score: Mapped[float] = mapped_column(Float)


class RiskRow(Base):
    """What a kind of check found of a person: the largest score, 0 to 1, and reasons in words."""

    __tablename__ = "risk"

    dataset: Mapped[str] = _dataset_key(primary=True)
    frame: Mapped[int] = mapped_column(Integer, primary_key=True)
    instance: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    score: Mapped[float] = mapped_column(Float)
    reasons: Mapped[list[str]] = mapped_column(JSON)


class SettingRow(Base):
    """A choice for a data set (dataset "": for the whole store)."""

    __tablename__ = "setting"

    dataset: Mapped[str] = mapped_column(String(KEY_LENGTH), primary_key=True)
    key: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)


class ThreadRow(Base):
    """A thread of comments, as its events add up to; `id`: the event of its first comment."""

    __tablename__ = "thread"
    __table_args__ = (Index(None, "dataset", "frame", "instance", "layer"),)

    id: Mapped[int] = mapped_column(
        Integer, ForeignKey("event.id"), primary_key=True, autoincrement=False
    )
    dataset: Mapped[str] = _dataset_key()
    frame: Mapped[int] = mapped_column(Integer)
    instance: Mapped[int] = mapped_column(Integer)
    layer: Mapped[str] = _layer(primary=False)
    who: Mapped[str] = mapped_column(String(NAME_LENGTH))
    """Who began it."""
    when: Mapped[datetime] = mapped_column(UtcTime)
    """Of the last event in it."""
    joint: Mapped[str | None] = mapped_column(String(NAME_LENGTH))
    is_open: Mapped[bool] = mapped_column(Boolean)
    comments: Mapped[int] = mapped_column(Integer)
    mentions: Mapped[list[str]] = mapped_column(JSON)


PersonRow = ItemRow | EventRow | LeaseRow | AssignmentRow | ThreadRow


def person_of(row: PersonRow) -> Person:
    return Person(dataset=row.dataset, frame=row.frame, instance=row.instance, layer=row.layer)


def is_person(table: type[PersonRow], person: Person) -> ColumnElement[bool]:
    return and_(*(getattr(table, name) == value for name, value in asdict(person).items()))
