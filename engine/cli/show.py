"""``engine show``: one version in the registry."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Final

from engine.cli import shelf
from engine.cli.say import FINE, as_json, out
from engine.registry.mirror import fetched

SUMMARY: Final = "show one version of a component: its files, what it needs, its hash"
FINDS: Final = "a component or version that is not there, or was altered"
TEACHES: Final = """\
Show a published version (the newest release, if none is named) with every file held against its digest.

examples:
  engine show aml/cash
  engine show aml/cash@1.4.0 --json"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME[@VERSION]", help="a component, or one version of it")
    shelf.arguments(parser, shelf.ANYWHERE)


def run(args: Namespace) -> int:
    registry = fetched(shelf.where(args), lambda there: shelf.chosen([args.name], there))
    one = registry.newest(*shelf.reference(args.name))
    config, files, component = registry.config(one), registry.files(one), one.component
    if args.json:
        parts = {name: getattr(component, name) for name in ("kind", "name", "version", "hash")}
        sizes = {path: len(data) for path, data in files.items()}
        needs = [str(need) for need in config.needs]
        as_json(
            {**parts, "manifest": one.manifest.digest, "yanked": one.yanked, "needs": needs, "files": sizes, "notes": dict(config.notes)}
        )
        return FINE
    out(f"{component.kind} {component}" + (f", yanked: {one.yanked}" if one.yanked else ""))
    out(f"  hash      {component.hash}")
    out(f"  manifest  {one.manifest.digest}")
    for need in config.needs:
        out(f"  needs     {need.kind} {need}")
    for path, data in files.items():
        out(f"  file      {path} ({len(data):,} bytes)")
    for name, text in config.notes.items():
        out(f"  {name:<9} {text}")
    return FINE
