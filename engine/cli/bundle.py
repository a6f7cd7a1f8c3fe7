"""``engine bundle``: a lock with all it holds in one signed file."""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Final

from engine.cli import shelf
from engine.cli.say import FINE, Stop, as_json, note, out, plural
from engine.registry.bundle import SUFFIX, private_key, write
from engine.registry.lock import Lock
from engine.registry.mirror import holding
from engine.wheels import collect

SUMMARY: Final = "pack a lock with all it holds into one signed file"
FINDS: Final = "a lock that holds drafts, or what is missing or altered"
TEACHES: Final = """\
Pack a lock and every component it holds into one file, signed, for a machine without a network. The same lock and key give the same
bytes. There, `Engine.load("screening.bundle", trust="release.pub")` verifies it before anything of it is opened.

With --wheels it holds the engine too, and all that it needs there: pip gets the wheels for a machine and a Python like this one, libraries
as the lock names them, others as they are installed here. pip's own settings say from where.

examples:
  engine bundle cascades/screening.lock --key release.key
  engine bundle cascades/screening.lock --key release.key --output out/screening.bundle
  engine bundle cascades/screening.lock --key release.key --wheels --extras fast,redis"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("lock", metavar="LOCK", help="the lock")
    parser.add_argument("--key", metavar="FILE", required=True, help="the private key to sign with; `engine keygen` makes one")
    parser.add_argument("--output", metavar="FILE", help="the bundle (default: beside the lock)")
    parser.add_argument("--wheels", action="store_true", help="with the wheels of the engine and of all it needs; pip gets them")
    parser.add_argument("--extras", metavar="NAMES", help="with --wheels: also what these extras of the engine need, like `fast,redis`")
    shelf.arguments(parser, shelf.ANYWHERE)


def run(args: Namespace) -> int:
    path = Path(args.lock)
    target = Path(args.output) if args.output else path.with_suffix(SUFFIX)
    if target.suffix != SUFFIX:
        raise Stop(f"`{target}` is no name for a bundle: it ends with `{SUFFIX}`")
    if args.extras and not args.wheels:
        raise Stop("--extras says what is wanted besides with --wheels: say that too")
    lock, key = Lock.read(path), private_key(Path(args.key))
    layout = holding(lock, shelf.where(args, path)).layout
    if args.wheels:
        note("pip gets the wheels; that may take a minute")
    with tempfile.TemporaryDirectory(prefix="kaskade-") as folder:
        extras = [name.strip() for name in (args.extras or "").split(",") if name.strip()]
        wheels = collect(lock, Path(folder), extras) if args.wheels else []
        write(target, lock, layout, key, wheels)
        names = [one.name for one in wheels]
    if args.json:
        as_json({"bundle": str(target), "bytes": target.stat().st_size, "seal": lock.seal, "wheels": names})
    else:
        more = f", {plural(len(names) - 1, 'wheel')}" if names else ""
        out(f"{target}: {target.stat().st_size:,} bytes{more}, seal {lock.seal}")
    return FINE
