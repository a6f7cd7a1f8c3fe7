"""``engine replay``: recorded decisions, given again."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Final

from engine.cli.say import FINE, PROBLEMS, as_json, out, plural
from engine.rerun import Replayed, replay

NAME: Final = "replay"
SUMMARY: Final = "give every recorded decision again, and compare"
FINDS: Final = "a decision that comes out otherwise, or an entry that was altered"
TEACHES: Final = """\
Decide every entry of a ledger again from the ledger alone: its components, its inputs, what its models answered. Each must come out
byte for byte as it was recorded, and no entry may have been altered.

examples:
  engine replay ledger.db
  engine replay ledger.db --json"""

_SHOWN: Final = 20


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ledger", metavar="LEDGER", help="the file that `--ledger` wrote")


def run(args: Namespace) -> int:
    found = replay(args.ledger)
    if args.json:
        differences = [one.to_dict() for one in found.differences]
        as_json({"count": found.count, "same": found.same, "differences": differences, "altered": list(found.altered)})
    else:
        _print(found)
    return FINE if found.fine else PROBLEMS


def _print(found: Replayed) -> None:
    trouble = [*found.altered, *map(str, found.differences)]
    for line in trouble[:_SHOWN]:
        out(line)
    if len(trouble) > _SHOWN:
        out(f"and {len(trouble) - _SHOWN:,} more; --json lists them all")
    chain = "the chain is broken" if found.altered else "the chain holds"
    out(f"{plural(found.count, 'decision')} given again, {found.same:,} the same; {chain}")
