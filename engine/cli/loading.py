"""What the commands that decide share: which cascade, and what it is loaded by."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from engine.api import IN_FORCE, NEWEST, Engine
from engine.cli.say import Stop, cascade_file, note
from engine.diagnostics import suggest
from engine.registry import bundle, lock


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("cascade", metavar="CASCADE", help="the cascade's YAML file, its lock, a folder of its locks, or a bundle")
    parser.add_argument("--newest", action="store_true", help="of a folder of locks take the newest alone, whatever day an event is of")
    parser.add_argument(
        "--registry",
        metavar="PLACE",
        help="from where a lock is loaded: a folder, or a place on a server (default: `registry` in the workspace)",
    )
    parser.add_argument("--trust", metavar="FILE", help="the public key that must have signed a bundle")


def loaded(args: Namespace, ledger: str | None = None) -> Engine:
    """The engine of the cascade that the arguments name. What is to be known of where it runs is noted."""
    path, versions = path_of(args.cascade), NEWEST if args.newest else IN_FORCE
    if args.newest and not path.is_dir():
        raise Stop(f"--newest picks one of the locks in a folder, and `{path}` is none: leave it out, or name the folder")
    engine = Engine.load(path, ledger=ledger, registry=args.registry, trust=args.trust, versions=versions)
    for one in engine.diagnostics:
        if not one.span.file:  # what is to be said of files, `engine check` says
            note(f"{one.severity}: {one.message}" + (f"; {one.hint}" if one.hint else ""))
    return engine


def path_of(name: str) -> Path:
    """The file of the cascade that an argument names, or the lock, the bundle or the folder of locks it runs as. Raises `Stop`."""
    path = Path(name)
    if path.is_dir() and any(path.glob(f"*{lock.SUFFIX}")):
        return path
    if path.suffix not in (lock.SUFFIX, bundle.SUFFIX):
        return cascade_file(name)
    if not path.is_file():
        there = sorted(one.as_posix() for one in path.parent.glob(f"*{path.suffix}"))
        near = suggest(name, there) or (f"there is `{there[0]}`" if there else None)
        raise Stop(f"there is no file `{name}`" + (f"; {near}" if near else ""))
    return path
