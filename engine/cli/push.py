"""``engine push``: versions of this registry, sent to another."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Final

from engine.cli import shelf
from engine.registry.carry import opened
from engine.registry.places import place

SUMMARY: Final = "send versions to a registry server, or to another folder"
FINDS: Final = "does not occur"
TEACHES: Final = """\
Send published versions to an OCI registry server, or to a registry in another folder, with the same bytes under the same digests. What a
version needs goes along, unless something that fits is there. A version that is there with other bytes is refused, and nothing is sent.
A version that is yanked here is marked there too.

A place on a server is `HOST[:PORT]/PATH`; the version 1.4.0 of the rule set aml/cash becomes PATH/ruleset/aml/cash:1.4.0. Logins are
those of `docker login`. This machine is asked over http, others over https.

examples:
  engine push aml/cash@1.4.0 --to localhost:5000/bank
  engine push cascades/screening.lock --to registry.bank.example/rules     what the lock holds
  engine push --all --to /mnt/stick/registry"""


def arguments(parser: ArgumentParser) -> None:
    shelf.carrying(parser, "to")


def run(args: Namespace) -> int:
    return shelf.carried(args, shelf.registry(args), opened(place(args.other, insecure=args.insecure)), "pushed to")
