"""``engine decide``: one event, one decision."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from engine.cli import loading
from engine.cli.say import FINE, Stop, note, out, read_input
from engine.diagnostics import suggest
from engine.features.store import store_file
from engine.ledger.decision import Decision
from engine.record import Record, border, decode_event

if TYPE_CHECKING:
    from engine.api import Engine
    from engine.features.store import Store

SUMMARY: Final = "decide one event"
FINDS: Final = "an event without key or time, or a cascade that does not check"
TEACHES: Final = """\
Decide one event, a JSON object in a file or on standard input, and print the outcome with a reason for every rule that was hit.
Without a store history features are missing, and what depends on them is undecided.

examples:
  engine decide cascades/screening.yaml event.json
  engine decide cascades/screening.yaml - --store sqlite:history.db --ledger ledger.db --json < event.json"""

_STRANGE: Final = 20
"""How many names that no field takes are shown."""


def arguments(parser: ArgumentParser) -> None:
    event_arguments(parser)
    parser.add_argument("--ledger", metavar="FILE", help="record the decision in this ledger, which `engine replay` reads")


def event_arguments(parser: ArgumentParser) -> None:
    """The arguments of every command that looks at one event."""
    loading.arguments(parser)
    parser.add_argument("event", metavar="EVENT", nargs="?", default="-", help="a file with a JSON object; `-` or nothing: standard input")
    parser.add_argument(
        "--store", metavar="URL", help="live history: `sqlite:FILE`, `redis://...`, `postgresql://...`, or `memory:` (this event alone)"
    )
    parser.add_argument("--history-from", metavar="DATE", help="since when the store's history is complete (default: its first event)")


def run(args: Namespace) -> int:
    decision = decided(args, record=True)
    out(decision.to_json() if args.json else summary(decision))
    return FINE


def decided(args: Namespace, *, record: bool, behind: Callable[[Engine, Store, Decision], None] | None = None) -> Decision:
    """The decision on the event that the arguments name; `behind` is told it while the store is open."""
    if args.history_from is not None and args.store is None:
        raise Stop("--history-from says since when a store is complete: name one with --store")
    file = None if args.store is None else store_file(args.store)
    if file is not None and not record and not file.exists():
        raise Stop(f"there is no store `{file}`; `engine decide --store {args.store}` makes one, and remembers the event")
    engine = loading.loaded(args, args.ledger if record else None)
    event = read_input(args.event)
    for line in strange_fields(engine.record, decode_event(event)):
        note(line)
    history = nullcontext() if args.store is None else engine.open_store(args.store, history_from=args.history_from)
    with nullcontext() if engine.ledger is None else engine.ledger, history as store:
        decision = engine.decide(event, store=store, record=record)
        if behind is not None and store is not None:
            behind(engine, store, decision)
        return decision


def strange_fields(record: Record, event: Mapping[str, Any]) -> list[str]:
    """A line for each thing in an event that no field takes: it may be a field whose name is misspelt."""
    known = border(record).known
    strange = sorted(name for name in border(record).flatten(event) if name not in known)
    near = {name: suggest(name, known) for name in strange[:_STRANGE]}
    lines = [f"note: no field takes `{name}`" + (f"; {hint}" if hint else "") for name, hint in near.items()]
    return lines + [f"note: nor {len(strange) - _STRANGE:,} names more"] * (len(strange) > _STRANGE)


def summary(decision: Decision) -> str:
    """A decision in a few lines."""
    key = ", ".join(map(str, decision.key)) if isinstance(decision.key, tuple) else decision.key
    possible = "robust" if decision.robust else "possible " + " or ".join(decision.possible)
    lines = [f"{key}: {decision.outcome} ({possible})"]
    lines += [f"  {reason.rule}: {reason.text}" + (f" [{'; '.join(reason.cites)}]" if reason.cites else "") for reason in decision.reasons]
    if decision.flags:
        lines.append("  flags: " + ", ".join(decision.flags))
    if decision.undecided:
        lacks = ", ".join(f"{name} ({cause})" for name, cause in decision.missing.items())
        lines.append(f"  undecided: {', '.join(decision.undecided)}" + (f"; lacking {lacks}" if lacks else ""))
    if decision.settled_by:
        lines.append("  settled by: " + ", ".join(decision.settled_by))
    return "\n".join(lines)
