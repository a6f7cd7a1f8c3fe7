"""``engine verify``: whether a bundle is what the holder of a key signed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Final

from engine.cli.say import FINE, as_json, out
from engine.registry.bundle import public_key, verify

NAME: Final = "verify"
SUMMARY: Final = "say whether a bundle is what the holder of a key signed"
FINDS: Final = "a bundle that was altered, bears no signature, or that of another"
TEACHES: Final = """\
Hold a bundle against a public key. Nothing of the bundle is opened. Without a key nothing holds.

examples:
  engine verify screening.bundle --key release.pub
  engine verify screening.bundle --key release.pub --json"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", help="the bundle")
    parser.add_argument("--key", metavar="FILE", required=True, help="the public key that is trusted")


def run(args: Namespace) -> int:
    verify(Path(args.bundle), public_key(Path(args.key)))
    if args.json:
        as_json({"bundle": args.bundle, "signed": True})
    else:
        out(f"{args.bundle} is what the holder of {args.key} signed")
    return FINE
