"""What kind of change a new version is: told from the facts that two versions were published with, and held against their numbers.

Facts are what a component takes (`inputs`), gives (`outputs`), says (`parts`, each by the hash of its meaning) and holds (`data`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.registry.manifest import in_order, parse_version

LEVELS: Final = ("patch", "minor", "major")
_OPTIONAL: Final = " optional"


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
    reasons = (*_inputs(before, now), *_named("output", "outputs", before, now), *_named("", "parts", before, now), *_data(before, now))
    level = max((level for level, _ in reasons), key=LEVELS.index, default="patch")
    return Change(level, reasons)


def _inputs(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    old, new = before.get("inputs", {}), now.get("inputs", {})
    for name in sorted(new.keys() - old.keys()):
        yield "minor" if new[name].endswith(_OPTIONAL) else "major", f"it takes `{name}` too"
    for name in sorted(old.keys() - new.keys()):
        yield "major", f"it takes `{name}` no more"
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            wider = old[name] + _OPTIONAL == new[name]
            yield "minor" if wider else "major", f"it takes `{name}` as {new[name]}, before as {old[name]}"


def _named(what: str, key: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    old, new = before.get(key, {}), now.get(key, {})
    for name in sorted(new.keys() - old.keys()):
        yield "minor", f"the {what} `{name}` is new" if what else f"{name} is new"
    for name in sorted(old.keys() - new.keys()):
        yield "major", f"the {what} `{name}` is gone" if what else f"{name} is gone"
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            yield "major", f"the {what} `{name}` is {new[name]}, before {old[name]}" if what else f"{name} means something else"


def _data(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if before.get("data") != now.get("data"):
        yield "minor", "what it holds is other"


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


def next_version(before: str, level: str) -> str:
    """The least version that promises so much after `before`.

    >>> next_version("1.4.2", "minor"), next_version("0.3.1", "major"), next_version("0.3.1", "minor")
    ('1.5.0', '0.4.0', '0.3.2')
    """
    major, minor, patch = parse_version(before) or (0, 0, 0)
    if major == 0:
        return f"0.{minor + 1}.0" if level == "major" else f"0.{minor}.{patch + 1}"
    return {"major": f"{major + 1}.0.0", "minor": f"{major}.{minor + 1}.0", "patch": f"{major}.{minor}.{patch + 1}"}[level]


def before(version: str, there: list[str]) -> str | None:
    """Of the versions that are there, the one that a new one follows."""
    earlier = [one for one in there if in_order(one) < in_order(version)]
    return max(earlier, key=in_order, default=None)
