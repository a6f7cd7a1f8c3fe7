"""``engine lock``: the closed set of versions a cascade runs as."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import date
from pathlib import Path
from typing import Final

from engine.cascade.parse import parse
from engine.cli import shelf
from engine.cli.say import FINE, Stop, as_json, cascade_file, out, plural
from engine.locking import make_lock
from engine.registry.carry import reachable
from engine.registry.lock import SUFFIX
from engine.registry.mirror import fetched
from engine.registry.published import Registry

NAME: Final = "lock"
SUMMARY: Final = "write which versions of everything a cascade runs as"
FINDS: Final = "versions that do not go together, or what is not published"
TEACHES: Final = """\
Find for a published cascade the newest versions in the registry that go together, and write them with their hashes into a lock beside
its file. `Engine.load` of that lock loads exactly these, and so does `engine decide`.

examples:
  engine lock cascades/screening.yaml                          writes cascades/screening.lock
  engine lock cascades/screening.yaml --from 2026-07-01        notes the day from which it is meant
  engine lock cascades/screening.yaml --draft                  what lies in the working tree, published or not"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("cascade", metavar="CASCADE", help="the cascade's YAML file")
    parser.add_argument("--output", metavar="FILE", help="the lock (default: beside the cascade)")
    parser.add_argument("--from", dest="since", metavar="DATE", help="the first day for which it is meant; a note, nobody acts on it")
    parser.add_argument("--draft", action="store_true", help="also take what is not published, from the working tree")
    shelf.arguments(parser, shelf.ANYWHERE)


def run(args: Namespace) -> int:
    path = cascade_file(args.cascade)
    try:
        since = None if args.since is None else date.fromisoformat(args.since)
    except ValueError:
        raise Stop(f"`{args.since}` is no day from which a lock holds; write it as `2026-07-01`") from None
    target = Path(args.output) if args.output else path.with_suffix(SUFFIX)
    if target.suffix != SUFFIX:
        raise Stop(f"`{target}` is no name for a lock: it ends with `{SUFFIX}`")
    lock = make_lock(path, _registry(args, path), draft=args.draft, since=since)
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


def _registry(args: Namespace, path: Path) -> Registry:
    """The registry to choose from; of one on a server, all versions of what the cascade may need."""
    spec, _ = parse(path.read_text(encoding="utf-8", errors="replace"), path.name)
    return fetched(shelf.where(args), lambda there: [] if spec is None else reachable("cascade", spec.name, there))
