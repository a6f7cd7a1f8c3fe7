"""What identifies a component: kind, name, version, content hash; and which versions a range takes. It reads no files."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_BEFORE = r"(?:0|[1-9]\d{0,8}|\d*[a-z-][0-9a-z-]*)"
VERSION = re.compile(rf"(0|[1-9]\d{{0,8}})\.(0|[1-9]\d{{0,8}})\.(0|[1-9]\d{{0,8}})(?:-({_BEFORE}(?:\.{_BEFORE})*))?")
"""Three numbers, and for a version that is no release yet what comes before it: ``2.0.0-rc.1``."""
RANGE = re.compile(r"([\^~]?)(0|[1-9]\d{0,8})(?:\.(0|[1-9]\d{0,8}))?(?:\.(0|[1-9]\d{0,8}))?")
REFERENCE = re.compile(r"(?P<name>[a-z][a-z0-9_-]*(?:/[a-z][a-z0-9_-]*)+)(?:@(?P<range>\S+))?")
METHOD_KIND = "method"
"""The kind of what decides and comes with the engine, so that it is named by decisions and never published."""


@dataclass(frozen=True, slots=True, order=True)
class Component:
    """One component that takes part in decisions. `hash` is ``sha256:`` and hex digits over everything that gives it meaning."""

    kind: str
    name: str
    version: str
    hash: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


def content_hash(parts: Iterable[tuple[str, bytes]]) -> str:
    """The hash of named byte strings, whatever their order.

    >>> content_hash([("a", b"1"), ("b", b"2")]) == content_hash([("b", b"2"), ("a", b"1")])
    True
    """
    digest = hashlib.sha256()
    for name, data in sorted(parts):
        for piece in (name.encode(), data):
            digest.update(len(piece).to_bytes(8, "big") + piece)
    return "sha256:" + digest.hexdigest()


@lru_cache(maxsize=16_384)
def parse_version(text: str) -> tuple[int, int, int] | None:
    """``1.4.0`` as numbers, or none when it is no version."""
    match = VERSION.fullmatch(text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def is_release(version: str) -> bool:
    """Whether a version is no pre-release."""
    return "-" not in version


@lru_cache(maxsize=16_384)
def in_order(version: str) -> tuple[Any, ...]:
    """What versions are sorted by, as semantic versions are: a pre-release before its release.

    >>> sorted(["1.10.0", "1.9.0", "1.10.0-rc.2", "1.10.0-rc.10", "1.10.0-beta"], key=in_order)
    ['1.9.0', '1.10.0-beta', '1.10.0-rc.2', '1.10.0-rc.10', '1.10.0']
    """
    numbers, _, before = version.partition("-")
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in before.split(".")] if before else []
    return parse_version(numbers) or (), not before, parts


def valid_range(text: str | None) -> bool:
    """Whether the text is a range: ``^1``, ``~1.4.2``, ``1.0.0``, or nothing."""
    return text is None or RANGE.fullmatch(text) is not None or VERSION.fullmatch(text) is not None


def fits(version: str, wanted: str | None) -> bool:
    """Whether a version is in a range: ``^1.4`` is 1.4.0 up to below 2, ``~1.4.2`` up to below 1.5, ``1.4`` any 1.4.

    A pre-release is taken by its full name alone.

    >>> [fits("1.4.2", r) for r in ("^1", "^1.5", "~1.4", "1.4.2", None)]
    [True, False, True, True, True]
    >>> fits("2.0.0-rc.1", "^2"), fits("2.0.0-rc.1", "2.0.0-rc.1")
    (False, True)
    """
    if not is_release(version):
        return version == wanted
    number, taken = parse_version(version), _bounds(wanted)
    return number is not None and taken is not None and taken[0] <= number < taken[1]


@lru_cache(maxsize=4096)
def _bounds(wanted: str | None) -> tuple[tuple[int, ...], tuple[float, ...]] | None:
    """The least release a range takes, and where it ends; none for what takes no release."""
    match = RANGE.fullmatch(wanted or "")
    if match is None:
        return ((), (math.inf,)) if wanted is None else None
    given = tuple(int(part) for part in match.groups()[1:] if part is not None)
    # the first number that counts must stay: ^0.3 is 0.3.x, ^1 is 1.x, ~1.4 is 1.4.x; without a sign all that are given must
    first = next((i + 1 for i, part in enumerate(given) if part), len(given))
    keep = {"^": first, "~": min(2, len(given)), "": len(given)}[match[1]]
    return given + (0,) * (3 - len(given)), (*given[: keep - 1], given[keep - 1] + 1)


def admits(wanted: str | None, other: str | None) -> bool:
    """Whether a range takes every version that another takes.

    >>> admits("^1.4", "~1.5.2"), admits("^1.4", "^1.2"), admits(None, "^2"), admits("^2", "2.0.0-rc.1")
    (True, False, True, False)
    """
    wide, narrow = _bounds(wanted), _bounds(other)
    return wanted == other or (wide is not None and narrow is not None and wide[0] <= narrow[0] and narrow[1] <= wide[1])


def line(wanted: str | None) -> str | None:
    """The widest range whose versions promise to mean what those of `wanted` mean.

    >>> line("~1.4.2"), line("0.3.1"), line("2.0.0-rc.1"), line(None)
    ('^1', '^0.3', '^2', None)
    """
    if wanted is None:
        return None
    numbers = wanted.lstrip("^~").partition("-")[0].split(".")
    return "^" + ".".join(numbers[: 1 if numbers[0] != "0" else 2])
