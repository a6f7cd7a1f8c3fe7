"""``engine uses``: who depends on a component."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from engine.cli import shelf
from engine.cli.say import FINE, as_json, note, out, plural
from engine.uses import LOCKED, PUBLISHED, TREE, User, Uses, uses

SUMMARY: Final = "list what depends on a component: cascades, rule sets, locks, published versions"
FINDS: Final = "a component that is nowhere"
TEACHES: Final = """\
List everything that depends on a component, or on one version of it: what lies in the working tree, the locks of this workspace, and
every version in the registry; who asks for it himself, and who does so through others.

examples:
  engine uses aml/cash
  engine uses aml/cash@1.4.0 --json"""

_HEADS: Final = {LOCKED: "locks", TREE: "working tree", PUBLISHED: "registry"}
_SHOWN: Final = 5


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME[@VERSION]", help="a component, or one version of it")
    shelf.arguments(parser)


def run(args: Namespace) -> int:
    name, version, kind = shelf.reference(args.name)
    found = uses(shelf.workspace(), shelf.there(args), name, version, kind)
    if args.json:
        as_json(found.to_dict())
        return FINE
    out("\n".join(_lines(found)))
    for one in found.passed_over[:_SHOWN]:
        note(f"note: passed over: {one}")
    if len(found.passed_over) > _SHOWN:
        note(f"note: passed over: {len(found.passed_over) - _SHOWN:,} more; --json lists them all")
    return FINE


def _lines(found: Uses) -> Iterator[str]:
    called = found.name if found.version is None else f"{found.name}@{found.version}"
    places = {"published": found.published, "working tree": found.tree}
    there = [f"{place}: {_some(versions)}" for place, versions in places.items() if versions]
    yield f"{found.kind} {called}; {'; '.join(there) or 'only in locks'}"
    users = {where: [one for one in found.users if one.where == where] for where in _HEADS}
    for where, some in users.items():
        if some:
            yield f"\n{_HEADS[where]}"
            yield from _table(list(_of_locks(some) if where == LOCKED else _of_components(some)))
    if found.users:
        counts = plural(len(users[LOCKED]), "lock"), f"{len(users[TREE]):,} in the working tree", f"{len(users[PUBLISHED]):,} published"
        yield f"\n{', '.join(counts)}"
    else:
        yield f"nothing depends on {called}"


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _of_locks(users: Sequence[User]) -> Iterator[tuple[str, ...]]:
    for one in users:
        yield one.lock or "", str(one.component), f"holds {one.holds}", _through(one.through)


def _of_components(users: Sequence[User]) -> Iterator[tuple[str, ...]]:
    """Versions that ask in the same way on one line."""

    def alike(one: User) -> tuple[str, str, str, tuple[str, ...]]:
        return one.component.kind, one.component.name, one.asks or "", tuple(step.partition("@")[0] for step in one.through)

    for (kind, name, asks, through), some in groupby(users, alike):
        versions = [one.component.version for one in some]
        asked = f"any version of {through[0]}" if through else "any version"
        if asks:
            asked = f"{through[0]}@{asks}" if through else asks
        yield kind, name, _some(versions), f"asks for {asked}", _through(through[1:] if through else ())


def _some(versions: Sequence[str]) -> str:
    if len(versions) <= _SHOWN:
        return ", ".join(versions)
    return f"{versions[0]} ... {versions[-1]} ({len(versions)} versions)"


def _through(steps: Sequence[str]) -> str:
    return f"through {', '.join(steps)}" if steps else ""
