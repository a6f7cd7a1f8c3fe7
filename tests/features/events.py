"""A small payments record, features over it, and events for the tests of history."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import polars as pl

from engine.backends.columnar import pack, unpack
from engine.errors import InputError
from engine.features.columnar import WindowState, observe
from engine.features.spec import BoundFeatures
from engine.features.store import Store
from engine.lang import ir
from engine.plan import TICK, Row
from engine.record import Field, Record
from engine.values import DATE, DATETIME, DAY, DURATION, INTEGER, MISSING, NUMBER, TEXT, Type, Value

REFUSED = "refused"
USD = Type("money", currency="USD")
ANY_MONEY = Type("money", by="currency")
HOUR = DAY // 24


def record(
    time: Type = DATETIME,
    *,
    late: int = DAY,
    zone: str = "America/New_York",
    key: tuple[str, ...] = ("id",),
    revision: str | None = None,
) -> Record:
    """The record of these tests; with a `revision` it has that integer too, by which events are corrected."""
    types = {
        "id": TEXT,
        "at": time,
        "account": TEXT,
        "branch": INTEGER,
        "direction": TEXT,
        "merchant": TEXT,
        "amount": USD,
        "balance": USD,
        "rate": NUMBER,
        "price": ANY_MONEY,
        "currency": TEXT,
        "size": INTEGER,
        "payee": TEXT,
        "opened": DATE,
        "login": time,
    }
    types |= {} if revision is None else {revision: INTEGER}
    fields = tuple(Field(name, type_, not_negative=name in ("amount", "price", "rate")) for name, type_ in types.items())
    return Record("bank/payment", "1.0.0", zone, key, "at", fields, late, revision=revision)


def read(name: str) -> ir.Read:
    return ir.Read(name, type={field.name: field.type for field in record().fields}[name])


def this(name: str) -> ir.Read:
    """A field of the event that looks."""
    return ir.Read(f"this.{name}", type=read(name).type)


def equals(name: str, value: Value) -> ir.Compare:
    field = read(name)
    return ir.Compare("=", field, ir.Const(value, type=field.type))


INCOMING = equals("direction", "in")


def days(length: int) -> ir.Window:
    """So many days of a record whose time is a datetime."""
    return ir.Window("trailing", length * DAY, "microseconds")


def dates(length: int) -> ir.Window:
    return ir.Window("trailing", length, "days")


def months(length: int) -> ir.Window:
    return ir.Window("trailing", length, "months")


def calendar(period: str) -> ir.Window:
    return ir.Window("calendar", period=period)


def full(length: int, period: str) -> ir.Window:
    return ir.Window("full", length, period=period)


def feature(
    name: str,
    function: str,
    window: ir.Window,
    of: ir.Expr | None = None,
    where: ir.Expr | None = None,
    per: tuple[str, ...] = ("account",),
    bounded: bool = False,
    **more: Any,
) -> ir.Feature:
    """A feature with the type that the checker would give it."""
    aggregate = ir.Aggregate(function, of, window, per, where, bounded, **more)
    return ir.Feature(name, _type(aggregate), aggregate)


def _type(a: ir.Aggregate) -> Type:
    if a.function == "most repeated":
        return Type("integer")
    if a.function in ("count", "distinct", "cycles", "middlemen"):
        return Type("integer", interval=True)
    if a.function == "time since last":
        return DURATION
    of = _type(a.inner) if a.inner is not None else a.of.type if a.of is not None else INTEGER
    if a.function == "share" or (a.function in ("mean", "stddev") and of.kind == "integer"):
        return NUMBER
    return Type(of.kind, currency=of.currency, by=of.by, interval=a.bounded or a.function in ("min", "max"))


def bound(features: Sequence[ir.Feature], under: Record, prefix: str = "") -> BoundFeatures:
    fields = tuple(ir.Column(field.name, field.type) for field in under.fields)
    features_ = ir.FeatureSet("bank/profile", "1.0.0", ir.Use("record", under.name, None, "payment"), fields, tuple(features))
    return BoundFeatures(features_, prefix, {}, under)


_numbers = itertools.count(1)


def event(at: int, account: Value = "A1", **given: Any) -> Row:
    """An event that says `in` and has one value of everything else; what is given stands instead."""
    defaults = {
        "id": f"T{next(_numbers)}",
        "branch": 1,
        "direction": "in",
        "merchant": "M1",
        "amount": 1_00,
        "balance": 0,
        "rate": 0.5,
        "price": MISSING,
        "currency": "USD",
        "size": 1,
        "payee": "P1",
        "opened": MISSING,
        "login": MISSING,
    }
    return {"at": at, "account": account, **defaults, **given}


def batch(chunks: Sequence[Sequence[Row]], groups: Sequence[BoundFeatures], under: Record, history_from: Any = None) -> list[Row]:
    """The features of a stream that arrives in these chunks, by the batch; of a row that is refused, why."""
    state = WindowState(groups, under, history_from)
    types = {field.name: field.type for field in under.fields}
    found: list[Row] = []
    for chunk in chunks:
        observed = observe(pack(chunk, types).with_columns(pl.Series(TICK, [bool(row.get(TICK)) for row in chunk], pl.Boolean)), state)
        refused, said = {one.row: refusal(one.message) for one in observed.rejects}, iter(unpack(observed.frame, state.layout.types))
        found += [refused[place] if place in refused else next(said) for place in range(len(chunk))]
    return found


def tick(at: int, under: Record, **keys: Value) -> Row:
    """A moment and no event: it has a time and these keys, and nothing else."""
    return {**{field.name: MISSING for field in under.fields}, **keys, "at": at, TICK: True}


def live(rows: Sequence[Row], store: Store) -> list[Row]:
    """The features of events that a store observes one after another; of one that is refused, why."""
    return [_observed(row, store) for row in rows]


def _observed(row: Row, store: Store) -> Row:
    try:
        return store.observe(row)
    except InputError as error:
        return refusal(str(error))


def refusal(message: str) -> Row:
    """What stands in place of the features of an event that is refused."""
    return {REFUSED: message}


def corrected(row: Row, **changes: Value) -> Row:
    """The next version of an event."""
    return {**row, "version": row["version"] + 1, **changes}
