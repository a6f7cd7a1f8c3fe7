"""What kind of change a new version is: told from the facts that two versions were published with, and held against their numbers.

Facts are what a component takes (`inputs`), gives (`outputs`), says (`parts`, each by the hash of its meaning), holds (`data`), what it
needs (`needs`, each with its range) and what it marks its findings with (`marks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.registry.manifest import admits, in_order, is_release, line, parse_version

LEVELS: Final = ("patch", "minor", "major")
NEEDS: Final = "needs"
_OPTIONAL: Final = " optional"
_DATA: Final = ("list", "table", "rates")
"""Kinds whose versions differ in what they hold: whoever reads them means the same."""


@dataclass(frozen=True, slots=True)
class Change:
    """How far two versions differ, and in what: each a level and a sentence."""

    level: str
    reasons: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        why = [told for level, told in self.reasons if level == self.level]
        return (
            f"a {self.level} change" + (f": {'; '.join(why[:5])}" if why else "") + (f"; and {len(why) - 5} more" if len(why) > 5 else "")
        )


def change(before: Mapping[str, Any], now: Mapping[str, Any]) -> Change:
    """What kind of change it is from one version's facts to another's: major where what it takes or gives changed or an existing part means
    something else, minor where something was added or its data changed, else patch: text, tests, comments.

    >>> print(change({"outputs": {"score": "integer"}}, {"outputs": {"score": "integer", "tier": "text"}}))
    a minor change: the output `tier` is new
    """
    reasons = (
        *_inputs(before.get("inputs", {}), now.get("inputs", {})),
        *_outputs(before.get("outputs", {}), now.get("outputs", {})),
        *_parts(before.get("parts", {}), now.get("parts", {})),
        *_marks(before.get("marks", {}), now.get("marks", {})),
        *_needs(before.get(NEEDS, {}), now.get(NEEDS, {})),
        *([] if before.get("data") == now.get("data") else [("minor", "what it holds is other")]),
    )
    level = max((level for level, _ in reasons), key=LEVELS.index, default="patch")
    return Change(level, reasons)


Named = Mapping[str, Any]
Reasons = Iterator[tuple[str, str]]


def _inputs(old: Named, new: Named) -> Reasons:
    for name in sorted(new.keys() - old.keys()):
        yield "minor" if new[name].endswith(_OPTIONAL) else "major", f"it takes `{name}` too"
    for name in sorted(old.keys() - new.keys()):
        yield "major", f"it takes `{name}` no more"
    for name, before, now in _changed(old, new):
        yield "minor" if before + _OPTIONAL == now else "major", f"it takes `{name}` as {now}, before as {before}"


def _outputs(old: Named, new: Named) -> Reasons:
    for name in sorted(new.keys() - old.keys()):
        yield "minor", f"the output `{name}` is new"
    for name in sorted(old.keys() - new.keys()):
        yield "major", f"the output `{name}` is gone"
    for name, before, now in _changed(old, new):
        yield "major", f"the output `{name}` is {now}, before {before}"


def _parts(old: Named, new: Named) -> Reasons:
    """A part of a part, ``the rule `A`: its flag `b```, is told only where the part itself was there before and still is."""
    for some, others, level, what in ((new, old, "minor", "new"), (old, new, "major", "gone")):
        for name in sorted(some.keys() - others.keys()):
            whole, of, _ = name.partition(": ")
            if not of or whole in others:
                yield level, f"{name} is {what}"
    for name, _, _ in _changed(old, new):
        yield "major", f"{name} means something else"


def _marks(old: Named, new: Named) -> Reasons:
    for name, before, now in _changed(old, new):
        yield "minor", f"{name} is {now}, before {before}"


def _needs(old: Named, new: Named) -> Reasons:
    """Which versions of others are let in. One that is needed for the first time, or no more, changes the parts that read it."""
    for name in sorted(old.keys() ^ new.keys()):
        if name.startswith("record "):
            yield "major", f"the {name} is what it takes no more" if name in old else f"it takes the {name}"
    for name, before, now in _changed(old, new):
        level = "patch" if admits(before, now) else "minor" if name.partition(" ")[0] in _DATA or admits(line(before), now) else "major"
        yield level, f"it asks for {name} as {now or 'any'}, before as {before or 'any'}"


def _changed(old: Named, new: Named) -> Iterator[tuple[str, Any, Any]]:
    yield from ((name, old[name], new[name]) for name in sorted(old.keys() & new.keys()) if old[name] != new[name])


def promised(before: str, now: str) -> str:
    """The greatest change that a step from one version to a later one promises. Below 1.0.0 the second number stands for the first.

    >>> promised("1.4.2", "1.5.0"), promised("0.3.1", "0.4.0"), promised("1.4.2", "1.4.3")
    ('minor', 'major', 'patch')
    """
    old, new = parse_version(before), parse_version(now)
    assert old is not None and new is not None
    if old[0] != new[0]:
        return "major"
    if old[0] == 0:
        return "major" if old[1] != new[1] else "minor"
    return "minor" if old[1] != new[1] else "patch"


def next_version(before: str, level: str, instead: str = "") -> str:
    """The least version that promises so much after `before`; what comes before a release where `instead`, which promised less, was that.

    >>> next_version("1.4.2", "minor"), next_version("0.3.1", "major"), next_version("0.3.1", "minor")
    ('1.5.0', '0.4.0', '0.3.2')
    >>> next_version("1.4.2", "major", "1.4.3-rc.1")
    '2.0.0-rc.1'
    """
    major, minor, patch = parse_version(before) or (0, 0, 0)
    _, dash, early = instead.partition("-")
    if major == 0:
        return (f"0.{minor + 1}.0" if level == "major" else f"0.{minor}.{patch + 1}") + dash + early
    return {"major": f"{major + 1}.0.0", "minor": f"{major}.{minor + 1}.0", "patch": f"{major}.{minor}.{patch + 1}"}[level] + dash + early


def before(version: str, there: Iterable[str]) -> str | None:
    """Of the versions that are there, the release that a new one follows: the nearest below it, whatever lies above. What comes before a
    release promised nothing.

    >>> before("1.3.1", ["1.3.0", "1.4.0"]), before("2.0.0", ["1.4.0", "2.0.0-rc.1"]), before("1.0.0", ["1.4.0"])
    ('1.3.0', '1.4.0', None)
    """
    earlier = [one for one in there if is_release(one) and in_order(one) < in_order(version)]
    return max(earlier, key=in_order, default=None)
