"""``engine replay``: recorded decisions, given again, and explained."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Final

from engine.cli.say import FINE, PROBLEMS, Stop, as_json, out, plural
from engine.rerun import Recorded, Replayed, recorded, replay

SUMMARY: Final = "give every recorded decision again, and compare"
FINDS: Final = "a decision that comes out otherwise, or an entry that was altered"
TEACHES: Final = """\
Decide every entry of a ledger again from the ledger alone: its components, its inputs, what its models answered. Each must come out
byte for byte as it was recorded, and no entry may have been altered. With --explain, only the decisions of one key or id are given
again, each with its event as it arrived, the version and hash of every component that took part, and why, rule by rule.

examples:
  engine replay ledger.db
  engine replay ledger.db --explain P-1002
  engine replay ledger.db --json"""

_SHOWN: Final = 20


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ledger", metavar="LEDGER", help="the file that `--ledger` wrote")
    parser.add_argument("--explain", metavar="KEY", help="explain the decisions recorded under this key or id")


def run(args: Namespace) -> int:
    if args.explain is not None:
        return _explain(args)
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


def _explain(args: Namespace) -> int:
    found, altered = recorded(args.ledger, args.explain)
    if not found:
        raise Stop(f"no decision with the key or id `{args.explain}` is recorded in `{args.ledger}`")
    if args.json:
        as_json({"decisions": [_as_dict(one) for one in found], "altered": list(altered)})
    else:
        out("\n\n".join(["\n".join(lines) for lines in ([*altered], *map(_lines, found)) if lines]))
    return PROBLEMS if altered or any(one.difference is not None for one in found) else FINE


def _lines(one: Recorded) -> list[str]:
    lines = [f"entry {one.seq}, {one.id}"]
    if one.difference is not None:
        lines.append(str(one.difference))
    if one.decision is None:
        return lines
    lines += ["event " + " ".join(line.strip() for line in one.event.strip().splitlines()), f"time {one.decision.time}"]
    drafts = one.decision.drafts
    lines += [
        f"{kind} {name}@{version} {digest}" + " draft" * (of in drafts)
        for of in one.decision.versions
        for kind, name, version, digest in [of]
    ]
    return [*lines, "", one.decision.explain()]


def _as_dict(one: Recorded) -> dict[str, object]:
    decision, difference = one.decision, one.difference
    return {
        "seq": one.seq,
        "id": one.id,
        "event": one.event,
        "difference": None if difference is None else difference.to_dict(),
        "decision": None if decision is None else decision.to_dict(),
        "explanation": [] if decision is None else decision.explain().splitlines(),
    }
