"""``engine keygen``: a pair of keys to sign bundles with."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Final

from engine.cli.say import FINE, as_json, out
from engine.registry.bundle import make_key

SUMMARY: Final = "make a pair of keys to sign bundles with"
FINDS: Final = "a key that is there already"
TEACHES: Final = """\
Write a private Ed25519 key, which signs bundles and stays with you, and a public one, which you give to whoever is to trust them.

examples:
  engine keygen release               writes release.key and release.pub
  engine keygen keys/2026 --json"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what the files are called, before `.key` and `.pub`")


def run(args: Namespace) -> int:
    private, public = Path(f"{args.name}.key"), Path(f"{args.name}.pub")
    make_key(private, public)
    if args.json:
        as_json({"private": str(private), "public": str(public)})
    else:
        out(f"{private} signs, keep it to yourself; {public} is for whoever trusts you")
    return FINE
