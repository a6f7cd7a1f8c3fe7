"""``engine stale``: decisions that late events and corrections have overtaken."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Final

from engine.cli import loading
from engine.cli.say import FINE, PROBLEMS, Stop, as_json, note, out, plural
from engine.errors import InputError
from engine.ledger.log import Ledger
from engine.stale import Found, StaleDecision, decide_again, shown_key, stale

SUMMARY: Final = "list recorded decisions that late events or corrections would change"
FINDS: Final = "decisions that would see another history today; with --again none that could not be decided again"
TEACHES: Final = """\
When an event comes late and enters history, or is corrected, decisions that were made before on later events saw a history without it.
List those of a ledger whose features would be different today: what they were, what they would be, and which event did it. With --again
they are decided again with today's history, by the same version of the cascade; each is a new entry, marked as the revision of the old
one, which stays. Give --history-from as it was given when they were decided. What was decided under a lock is looked at by that lock.

examples:
  engine stale cascades/screening.yaml --ledger ledger.db
  engine stale cascades/screening.yaml --ledger ledger.db --history-from 2026-01-01 --again
  engine stale cascades/screening.lock --ledger ledger.db"""

_SHOWN: Final = 50


def arguments(parser: ArgumentParser) -> None:
    loading.arguments(parser)
    parser.add_argument("--ledger", metavar="FILE", required=True, help="the ledger in which its decisions stand")
    parser.add_argument("--history-from", metavar="DATE", help="since when history was complete (default: the first event)")
    parser.add_argument("--again", action="store_true", help="decide them again, into the same ledger")


def run(args: Namespace) -> int:
    Ledger.read(Path(args.ledger)).close()  # a ledger that is not there must not be made
    engine = loading.loaded(args, args.ledger if args.again else None)
    try:
        found = stale(engine, args.ledger, history_from=args.history_from)
    except InputError as error:
        raise Stop(str(error)) from None
    again = []
    if engine.ledger is not None:
        with engine.ledger:
            try:
                again = decide_again(engine, found)
            except InputError as error:
                raise Stop(str(error)) from None
    left = [one for one in found.stale if one.entry.id not in {made.revises.id for made in again if made.revises is not None}]
    if args.json:
        made = [one.to_dict() for one in again]
        listed = [one.to_dict() for one in found.stale]
        as_json({"count": found.count, "stale": listed, "unexplained": list(found.unexplained), "again": made})
    else:
        _tell(found, len(again))
    return PROBLEMS if left else FINE


def _tell(found: Found, again: int) -> None:
    for one in found.stale[:_SHOWN]:
        out("\n".join(_lines(one)))
    if len(found.stale) > _SHOWN:
        out(f"and {len(found.stale) - _SHOWN:,} more; --json lists them all")
    out(f"{plural(found.count, 'decision')} looked at, {len(found.stale):,} stale" + (f", {again:,} decided again" if again else ""))
    if found.unexplained:
        entries = ", ".join(map(str, found.unexplained[:5])) + (", ..." if len(found.unexplained) > 5 else "")
        note(
            f"note: {plural(len(found.unexplained), 'decision')} cannot be compared (entries {entries}): their history does not follow from"
        )
        note("this ledger. It came from elsewhere, was not there, or began at another time: then say so with --history-from")


def _lines(one: StaleDecision) -> list[str]:
    """A decision that is stale: what would be different, and why."""
    because = "; ".join(map(str, one.causes[:3])) + (f"; and {len(one.causes) - 3:,} more" if len(one.causes) > 3 else "")
    return [f"entry {one.entry.seq}, {shown_key(one.entry.key)}", *(f"  {change}" for change in one.changes), f"  because of {because}"]
