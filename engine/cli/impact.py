"""``engine impact``: what a new version of a component would mean for the locks of a workspace."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Final

from engine.cli import shelf
from engine.cli.say import FINE, PROBLEMS, Stop, as_json, note, out, plural
from engine.impact import Impact, Move, impact
from engine.registry.changes import LEVELS, Change, promised
from engine.registry.manifest import in_order

SUMMARY: Final = "say which locks could move to a new version, what forbids it, and what would change"
FINDS: Final = "a lock that could not move to it"
TEACHES: Final = """\
Look at a version that is published, or stands in the working tree, beside those that the locks of this workspace hold: what kind of change
it is and in what, which locks could move to it, with what else, and which could not, because who asks for what, or because it would
not check. Nothing is changed.

examples:
  engine impact aml/cash@2.0.0
  engine impact aml/cash@2.0.0 --json"""

_SHOWN: Final = 20


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME@NEW", help="a component, and the version to look at")
    shelf.arguments(parser)


def run(args: Namespace) -> int:
    name, version, kind = shelf.reference(args.name)
    if version is None:
        raise Stop(f"name the version to look at, like `{name}@1.0.0`")
    found = impact(shelf.workspace(), shelf.there(args), name, version, kind)
    if args.json:
        as_json(found.to_dict())
    else:
        out("\n".join(_lines(found)))
        for one in found.passed_over:
            note(f"note: passed over: {one}")
    return FINE if all(move.could for move in found.moves) else PROBLEMS


def _lines(found: Impact) -> Iterator[str]:
    where = "published" if found.published else "in the working tree, not published"
    yield f"{found.component.kind} {found.component}, {where}" + (f", yanked: {found.yanked}" if found.yanked else "")
    for before, changed in found.changes.items():
        yield from _changed(before, changed, found.component.version)
    for move in found.moves:
        yield ""
        yield from _moved(move)
    for lock in found.have:
        yield f"\n{lock} has it already"
    if not found.moves and not found.have:
        yield f"no lock holds {found.component.name}"
        return
    could = sum(move.could for move in found.moves)
    yield f"\n{plural(could, 'lock')} could move, {len(found.moves) - could:,} could not, {len(found.have):,} already there"


def _changed(before: str, changed: Change | None, now: str) -> Iterator[str]:
    if changed is None:
        yield f"after {before}: not known, a lock holds that as a draft, or it is not in the registry"
        return
    least = promised(before, now) if in_order(before) < in_order(now) else LEVELS[-1]
    less = f", which {now} does not promise" if LEVELS.index(least) < LEVELS.index(changed.level) else ""
    yield f"after {before}: a {changed.level} change{less}"
    for level, told in changed.reasons[:_SHOWN]:
        yield f"  {level:<5}  {told}"
    if len(changed.reasons) > _SHOWN:
        yield f"  and {len(changed.reasons) - _SHOWN:,} more; --json lists them all"


def _moved(move: Move) -> Iterator[str]:
    word = "could move" if move.could else "could not move"
    yield f"{move.lock} ({move.cascade}) {word} from {move.held}"
    for before, now in move.also:
        yield f"  with it {before} -> {now}" if before and now else f"  with it {now} is new" if now else f"  with it {before} goes"
    for one in move.forbidden:
        yield f"  {one}"
    if move.instead:
        yield f"  {move.instead} could"
