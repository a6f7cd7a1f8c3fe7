"""``engine pull``: versions of another registry, fetched into this one."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Final

from engine.cli import shelf
from engine.registry.carry import opened
from engine.registry.places import place

SUMMARY: Final = "fetch versions from a registry server, or from another folder"
FINDS: Final = "does not occur"
TEACHES: Final = """\
Fetch versions from an OCI registry server, or from a registry in another folder, into this one; every file is held against its digest.
What a version needs comes along, unless something that fits is here. A version that is here with other bytes is refused, and nothing is
changed. A version that is yanked there is marked here too; what was damaged here is mended.

examples:
  engine pull aml/cash@^1.4 --from localhost:5000/bank              the newest that fits
  engine pull cascades/screening.lock --from localhost:5000/bank    what the lock holds
  engine pull --all --from /mnt/stick/registry"""


def arguments(parser: ArgumentParser) -> None:
    shelf.carrying(parser, "from")


def run(args: Namespace) -> int:
    return shelf.carried(args, opened(place(args.other, insecure=args.insecure)), shelf.registry(args), "pulled from")
