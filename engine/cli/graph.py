"""``engine graph``: a cascade as a drawing."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import Final

from engine.cascade.draw import DRAW, FORMATS, drawing
from engine.cli.say import FINE, as_json, cascade_file, out
from engine.errors import SourceError
from engine.loaded import load
from engine.registry.store import Workspace

NAME: Final = "graph"
SUMMARY: Final = "draw a cascade: its steps, and who reads whom"
FINDS: Final = "a cascade that does not check"
TEACHES: Final = """\
Draw the steps of a cascade in layers, each with its component, its gate and the columns it reads of other steps.
No model is opened.

examples:
  engine graph cascades/screening.yaml
  engine graph cascades/screening.yaml --format svg > screening.svg"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("cascade", metavar="CASCADE", help="the cascade's YAML file")
    parser.add_argument("--format", choices=FORMATS, default="text", help="text (default), mermaid for Markdown pages, or svg")


def run(args: Namespace) -> int:
    path = cascade_file(args.cascade)
    linked, components = load(path, Workspace.around(path), models=False)
    if linked is None:
        raise SourceError(components.diagnostics, components.rendered())
    drawn = drawing(linked)
    if args.json:
        as_json(asdict(drawn))
    else:
        out(DRAW[args.format](drawn))
    return FINE
