"""``engine features``: what stands in a live store."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Final

from engine.cli import loading
from engine.cli.say import FINE, Stop, as_json, out
from engine.errors import InputError
from engine.features.store import store_file
from engine.looked import look, named, row_of
from engine.values import show

if TYPE_CHECKING:
    from engine.api import Engine
    from engine.features.store import Store
    from engine.looked import Looked
    from engine.plan import Row

SUMMARY: Final = "show the features of one key, and the events behind them"
FINDS: Final = "a cascade that does not check"
TEACHES: Final = """\
Show what a live store knows of one key: every feature as it stands at a moment, and which events its window holds, each with its key,
its time and its value; `perhaps` where nobody knows whether it counts. Without --key: how much history the store holds. It only reads.

examples:
  engine features cascades/screening.yaml --store sqlite:history.db
  engine features cascades/screening.yaml --store sqlite:history.db --key card=tok_2 --at 2026-03-06T18:20:00
  engine features cascades/screening.yaml --store sqlite:history.db --key card=tok_2 --feature spent_7d --json"""


def arguments(parser: ArgumentParser) -> None:
    loading.arguments(parser)
    parser.add_argument("--store", metavar="URL", required=True, help="the store: `sqlite:FILE`, `redis://...` or `postgresql://...`")
    parser.add_argument("--key", metavar="FIELD=VALUE", nargs="+", help="the key to look at, field by field")
    parser.add_argument("--at", metavar="TIME", help="the moment to look at (default: now)")
    parser.add_argument("--feature", metavar="NAME", help="this feature alone")


def run(args: Namespace) -> int:
    if args.key is None and (args.at or args.feature):
        raise Stop("--at and --feature are for one key: name it with --key, like `--key account=A1`")
    engine = loading.loaded(args)
    file = store_file(args.store)
    if args.store.startswith("memory") or (file is not None and not file.exists()):
        raise Stop(f"there is no store `{args.store}`")
    with engine.open_store(args.store) as store:
        try:
            return _summary(args, engine, store) if args.key is None else _key(args, engine, store)
        except InputError as error:
            raise Stop(str(error)) from None


def _summary(args: Namespace, engine: Engine, store: Store) -> int:
    measured = store.measured()
    per_key, time = measured.bytes // max(1, measured.keys), engine.record.field(engine.record.time).type
    kept = {"oldest": measured.oldest, "newest": measured.newest}
    span = {name: show(moment, time) for name, moment in kept.items() if moment is not None}
    if args.json:
        as_json({**measured._asdict(), **span, "bytes_per_key": per_key})
        return FINE
    lines = {"keys": measured.keys, "rows": measured.rows, "events": measured.events, "bytes": measured.bytes, "bytes per key": per_key}
    out("\n".join(f"{count:>15,}  {word}" for word, count in lines.items()))
    if span:
        out(f"from {span['oldest']} to {span['newest']}")
    return FINE


def _key(args: Namespace, engine: Engine, store: Store) -> int:
    keys: dict[str, str] = {}
    for text in args.key:
        name, equals, value = text.partition("=")
        if not equals or not name or name in keys:
            raise InputError(f"`{text}` is no part of a key: write each field once, like `account=A1`")
        keys[name] = value
    row = row_of(engine, keys, args.at)
    found = look(engine, store, row, None if args.feature is None else [named(engine, args.feature)])
    if not found:
        raise InputError("no feature has this key alone: give --key all of its fields, as `per` names them")
    _tell(args, engine, row, keys, found)
    return FINE


def _tell(args: Namespace, engine: Engine, row: Row, keys: dict[str, str], found: list[Looked]) -> None:
    at = show(row["now"], engine.record.field(engine.record.time).type)
    if args.json:
        as_json({"key": keys, "at": at, "features": [one.to_dict() for one in found]})
        return
    out(", ".join(f"{name} = {value}" for name, value in keys.items()) + f", at {at}")
    for one in found:
        out(f"{one.feature}: {show(one.value, one.type)}")
        for member in one.window:
            out(f"  {member}")
