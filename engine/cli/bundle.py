"""``engine bundle``: a lock with all it holds in one signed file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Final

from engine.cli import shelf
from engine.cli.say import FINE, Stop, as_json, out
from engine.registry.bundle import SUFFIX, private_key, write
from engine.registry.lock import Lock
from engine.registry.mirror import holding

NAME: Final = "bundle"
SUMMARY: Final = "pack a lock with all it holds into one signed file"
FINDS: Final = "a lock that holds drafts, or what is missing or altered"
TEACHES: Final = """\
Pack a lock and every component it holds into one file, signed, for a machine without a network. The same lock and key give the same
bytes. There, `Engine.load("screening.bundle", trust="release.pub")` verifies it before anything of it is opened.

examples:
  engine bundle cascades/screening.lock --key release.key
  engine bundle cascades/screening.lock --key release.key --output out/screening.bundle"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("lock", metavar="LOCK", help="the lock")
    parser.add_argument("--key", metavar="FILE", required=True, help="the private key to sign with; `engine keygen` makes one")
    parser.add_argument("--output", metavar="FILE", help="the bundle (default: beside the lock)")
    shelf.arguments(parser, shelf.ANYWHERE)


def run(args: Namespace) -> int:
    path = Path(args.lock)
    target = Path(args.output) if args.output else path.with_suffix(SUFFIX)
    if target.suffix != SUFFIX:
        raise Stop(f"`{target}` is no name for a bundle: it ends with `{SUFFIX}`")
    lock = Lock.read(path)
    write(target, lock, holding(lock, shelf.where(args)).layout, private_key(Path(args.key)))
    if args.json:
        as_json({"bundle": str(target), "bytes": target.stat().st_size, "seal": lock.seal})
    else:
        out(f"{target}: {target.stat().st_size:,} bytes, seal {lock.seal}")
    return FINE
