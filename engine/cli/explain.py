"""``engine explain``: why an event is decided as it is."""

from __future__ import annotations

from argparse import Namespace
from typing import Final

from engine.cli.decide import decided, event_arguments
from engine.cli.say import FINE, as_json, out

NAME: Final = "explain"
SUMMARY: Final = "say why an event is decided as it is, rule by rule"
FINDS: Final = "an event without key or time, or a cascade that does not check"
TEACHES: Final = """\
Decide one event without leaving a trace, and explain every rule: why it was hit, why not, or what it lacked.
A store is read but not written.

examples:
  engine explain cascades/screening.yaml event.json
  engine explain cascades/screening.yaml event.json --store sqlite:history.db"""

arguments = event_arguments


def run(args: Namespace) -> int:
    decision = decided(args, record=False)
    if args.json:
        as_json({**decision.to_dict(), "explanation": decision.explain().splitlines()})
    else:
        out(decision.explain())
    return FINE
