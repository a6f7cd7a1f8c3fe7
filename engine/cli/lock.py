"""``engine lock``: the closed set of versions a cascade runs as."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Final

from engine.cascade.parse import parse
from engine.cli import shelf
from engine.cli.say import FINE, Stop, as_json, cascade_file, out, plural
from engine.locking import make_lock
from engine.registry.carry import reachable
from engine.registry.lock import SUFFIX, Lock
from engine.registry.mirror import fetched
from engine.registry.published import Registry

SUMMARY: Final = "write which versions of everything a cascade runs as"
FINDS: Final = "versions that do not go together, or what is not published"
TEACHES: Final = """\
Find for a published cascade the newest versions in the registry that go together, and write them with their hashes into a lock beside
its file. `Engine.load` of that lock loads exactly these, and so does `engine decide`. Locks of one cascade that stand in a folder of their
own, each with its first day, follow one another; a lock that is there is written again from another day on.

examples:
  engine lock cascades/screening.yaml                          writes cascades/screening.lock
  engine lock cascades/screening.yaml --draft                  what lies in the working tree, published or not
  engine lock cascades/screening.yaml --from 2026-07-01 --output locks/july.lock
  engine lock locks/july.lock --from 2026-09-10 --output locks/back.lock"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("cascade", metavar="CASCADE", help="the cascade's YAML file; or a lock, whose versions are to hold again")
    parser.add_argument("--output", metavar="FILE", help="the lock (default: beside the cascade)")
    parser.add_argument("--from", dest="since", metavar="DATE", help="the first day on which it holds, in a folder of locks")
    parser.add_argument("--draft", action="store_true", help="also take what is not published, from the working tree")
    shelf.arguments(parser, shelf.ANYWHERE)


def run(args: Namespace) -> int:
    source = Path(args.cascade)
    target = Path(args.output) if args.output else source.with_suffix(SUFFIX)
    if target.suffix != SUFFIX:
        raise Stop(f"`{target}` is no name for a lock: it ends with `{SUFFIX}`")
    lock = _again(args, source, target) if source.suffix == SUFFIX else _of_cascade(args)
    lock.write(target)
    if args.json:
        as_json(
            {"lock": str(target), "seal": lock.seal, "draft": lock.draft, "components": [str(one.component) for one in lock.components]}
        )
        return FINE
    for one in lock.components:
        out(f"{one.component.kind:<9} {one.component}" + (" (draft)" if one.draft else ""))
    out(f"{target}: {plural(len(lock.components), 'component')}, seal {lock.seal}")
    return FINE


def _of_cascade(args: Namespace) -> Lock:
    """A new lock of a cascade."""
    path, since = cascade_file(args.cascade), _day(args.since)
    return make_lock(path, _registry(args, path), draft=args.draft, since=since)


def _again(args: Namespace, source: Path, target: Path) -> Lock:
    """A lock that is there, from another day on: the way back to what it holds."""
    if args.since is None or args.output is None or args.draft:
        raise Stop(f"`{source}` is a lock already: with --from say from which day it holds again, with --output where to write that")
    if source.resolve() == target.resolve():
        raise Stop(f"--output `{args.output}` is the lock itself, which says what held before: name another file")
    return replace(Lock.read(source), since=_day(args.since))


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise Stop(f"`{text}` is no day from which a lock holds; write it as `2026-07-01`") from None


def _registry(args: Namespace, path: Path) -> Registry:
    """The registry to choose from; of one on a server, all versions of what the cascade may need."""
    spec, _ = parse(path.read_text(encoding="utf-8", errors="replace"), path.name)
    return fetched(shelf.where(args), lambda there: [] if spec is None else reachable("cascade", spec.name, there))
