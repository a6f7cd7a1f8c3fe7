"""``engine explain``: why an event is decided as it is."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Final

from engine.cli import loading
from engine.cli.decide import decided, event_arguments
from engine.cli.say import FINE, Stop, as_json, out
from engine.looked import Looked, look
from engine.values import show

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.api import Engine
    from engine.features.store import Store
    from engine.ledger.decision import Decision

SUMMARY: Final = "say why an event is decided as it is, rule by rule"
FINDS: Final = "an event without key or time, or a cascade that does not check"
TEACHES: Final = """\
Decide one event without leaving a trace, and explain every rule: why it was hit, why not, or what it lacked.
A store is read but not written; with --events the events in the windows of every feature are named, as the store holds them.

examples:
  engine explain cascades/screening.yaml event.json
  engine explain cascades/screening.yaml event.json --store sqlite:history.db --events
  engine explain cascades/screening.yaml --code"""


def arguments(parser: ArgumentParser) -> None:
    event_arguments(parser)
    parser.add_argument("--code", action="store_true", help="print the Python that decides, for whoever steps through it; needs no event")
    parser.add_argument("--events", action="store_true", help="name the events behind every feature; needs --store")


def _behind(windows: list[Looked]) -> Callable[[Engine, Store, Decision], None]:
    def note(engine: Engine, store: Store, decision: Decision) -> None:
        windows.extend(look(engine, store, dict(decision.row)))

    return note


def _code(args: Namespace) -> int:
    if args.event != "-" or args.store is not None or args.events:
        raise Stop("--code shows what decides every event: leave out the event, --store and --events")
    code = loading.loaded(args).code()
    if args.json:
        as_json({"code": code})
    else:
        out(code.rstrip())
    return FINE


def run(args: Namespace) -> int:
    if args.code:
        return _code(args)
    if args.events and args.store is None:
        raise Stop("--events names events of a store: say which with --store")
    windows: list[Looked] = []
    decision = decided(args, record=False, behind=_behind(windows) if args.events else None)
    if args.json:
        events = {"events": [one.to_dict() for one in windows]} if args.events else {}
        as_json({**decision.to_dict(), "explanation": decision.explain().splitlines(), **events})
        return FINE
    out(decision.explain())
    for one in windows:
        out(f"\nin the store, {one.feature}: {show(one.value, one.type)}")
        for member in one.window:
            out(f"  {member}")
    return FINE
