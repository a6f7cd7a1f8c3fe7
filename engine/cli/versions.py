"""``engine list``: what is in the registry."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from itertools import groupby
from typing import Final

from engine.cli import shelf
from engine.cli.say import FINE, as_json, out, plural
from engine.registry.carry import opened
from engine.registry.published import Published

SUMMARY: Final = "list the components in the registry, and their versions"
FINDS: Final = "a registry that cannot be read"
TEACHES: Final = """\
List every component in the registry, in its folder or on a server, with its versions, oldest first; those that were yanked are marked.

examples:
  engine list
  engine list aml/cash --json
  engine list --registry localhost:5000/bank"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="one component (default: all)")
    shelf.arguments(parser, shelf.ANYWHERE)


def run(args: Namespace) -> int:
    registry = opened(shelf.where(args))
    name, _, kind = (None, None, None) if args.name is None else shelf.reference(args.name)
    there = registry.all() if name is None else registry.versions(name, kind)
    if name is not None and not there:
        registry.newest(name, None, kind)  # says what was probably meant
    if args.json:
        as_json({"registry": str(registry.place), "components": [_told(one) for one in there]})
        return FINE
    for (kind, name), versions in groupby(there, key=lambda one: (one.component.kind, one.component.name)):
        out(f"{kind:<9} {name:<40} " + ", ".join(one.component.version + (" (yanked)" if one.yanked else "") for one in versions))
    out(f"{plural(len(there), 'version')} in {registry.place}")
    return FINE


def _told(one: Published) -> dict[str, object]:
    parts: dict[str, object] = {name: getattr(one.component, name) for name in ("kind", "name", "version", "hash")}
    return parts | {"manifest": one.manifest.digest, "yanked": one.yanked}
