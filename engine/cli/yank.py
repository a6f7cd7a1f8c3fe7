"""``engine yank``: a mark on a version that should not be used."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Final

from engine.cli import shelf
from engine.cli.say import FINE, Stop, as_json, out
from engine.registry.carry import opened
from engine.registry.manifest import parse_version

SUMMARY: Final = "mark a version that should not be used any more; nothing is deleted"
FINDS: Final = "a version that is not there"
TEACHES: Final = """\
Mark a published version as one that should not be used, and say why. Locks that hold it go on; new ones take it only where it is asked
for by its full version. `engine push` and `pull` carry marks along, and never take one away: --undo does, in each registry.

examples:
  engine yank aml/cash@1.4.0 --because "the limit is wrong by a factor of ten"
  engine yank aml/cash@1.4.0 --undo
  engine yank aml/cash@1.4.0 --undo --registry localhost:5000/bank"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME@VERSION", help="the version")
    parser.add_argument("--because", metavar="TEXT", help="why it should not be used")
    parser.add_argument("--undo", action="store_true", help="take the mark away")
    shelf.arguments(parser, shelf.ANYWHERE)


def run(args: Namespace) -> int:
    name, version, kind = shelf.reference(args.name)
    if version is None or parse_version(version) is None or bool(args.because) == args.undo:
        raise Stop('name one version and say why: `engine yank aml/cash@1.4.0 --because "..."`; or --undo')
    one = opened(shelf.where(args)).yank(name, version, None if args.undo else args.because, kind)
    if args.json:
        as_json({"name": name, "version": version, "yanked": one.yanked})
    else:
        out(f"{one} is marked: {one.yanked}" if one.yanked else f"{one} may be used again")
    return FINE
