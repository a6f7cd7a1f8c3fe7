"""``engine publish``: components of the working tree, frozen in the registry."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Final

from engine.cli import shelf
from engine.cli.say import FINE, Stop, as_json, out, plural
from engine.publish import publish

SUMMARY: Final = "freeze components of this workspace in its registry"
FINDS: Final = "something that does not check, a test that fails, or a version that promises less than it changes"
TEACHES: Final = """\
Check and test components, and keep them in the registry under their versions, where they never change again. Each is compared with the
version before: a patch changes text, tests and comments, a minor version adds, a major one changes what it takes, gives or means. A
number that promises less is refused, unless --because says why; the reason is kept.

examples:
  engine publish aml/cash
  engine publish --all
  engine publish aml/cash --because "the limit was never in force" """


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="*", help="components like `aml/cash`")
    parser.add_argument("--all", action="store_true", help="every component of the workspace")
    parser.add_argument("--because", metavar="TEXT", help="why a version may promise less than it changes")
    shelf.arguments(parser)


def run(args: Namespace) -> int:
    if args.all == bool(args.names):
        raise Stop("name the components to publish, or say --all")
    registry = shelf.registry(args)
    steps = publish(shelf.workspace(), registry, args.names or None, args.because)
    if args.json:
        as_json({"registry": str(registry.place), "published": [_told(step) for step in steps]})
        return FINE
    for step in steps:
        out(str(step))
    out(f"{plural(len(steps), 'version')} published in {registry.place}" if steps else "all of it is published already")
    return FINE


def _told(step: object) -> dict[str, object]:
    component = getattr(step, "component", None)
    parts = {name: getattr(component, name) for name in ("kind", "name", "version", "hash")}
    return parts | {name: getattr(step, name) for name in ("after", "level", "told")}
