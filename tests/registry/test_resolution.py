"""Which versions go together, held against trying all of them on small registries made up at random; and how it is told that none do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.registry.manifest import Component, fits, in_order, is_release
from engine.registry.oci import Descriptor
from engine.registry.published import Need, Published
from engine.registry.resolve import Asked, Conflict, resolve

NAMES = [("record", "a/one"), ("ruleset", "a/one"), ("list", "a/two"), ("ruleset", "a/three")]
VERSIONS = ["1.0.0", "1.1.0", "1.2.0-rc.1", "2.0.0", "2.1.0"]
RANGES = [None, "^1", "^1.1", "~1.0", "1", "^2", "2.0.0", "1.2.0-rc.1", "1.1.0"]


@dataclass
class Shelf:
    """A registry in memory: versions, what they need, and which of them were yanked."""

    needs: dict[Component, tuple[Need, ...]] = field(default_factory=dict)
    yanked: set[Component] = field(default_factory=set)
    place: Path = Path("registry")

    def all(self) -> list[Published]:
        found = [Published(one, Descriptor("", "", 0), "bad" if one in self.yanked else None) for one in self.needs]
        return sorted(found, key=lambda one: (one.component.name, in_order(one.component.version), one.component.kind))

    def config(self, one: Published) -> Any:
        return SimpleNamespace(needs=self.needs[one.component])

    def add(self, kind: str, name: str, version: str, *needs: str, yanked: bool = False) -> None:
        one = Component(kind, name, version, "")
        self.needs[one] = tuple(Need(kind_, *name_.split("@")) for kind_, _, name_ in (need.partition(" ") for need in needs))
        self.yanked |= {one} if yanked else set()


needs = st.lists(st.builds(lambda named, wanted: Need(*named, wanted), st.sampled_from(NAMES), st.sampled_from(RANGES)), max_size=3)


@st.composite
def shelves(draw: st.DrawFn, circles: bool = True) -> tuple[Shelf, list[Need]]:
    """A registry and what is asked of it; without `circles` nothing needs, by whatever way, another version of itself."""
    shelf = Shelf()
    for place, (kind, name) in enumerate(NAMES):
        for version in draw(st.lists(st.sampled_from(VERSIONS), unique=True, max_size=4)):
            one = Component(kind, name, version, "")
            asked = draw(needs)
            shelf.needs[one] = tuple(need for need in asked if circles or NAMES.index((need.kind, need.name)) > place)
            shelf.yanked |= {one} if draw(st.sampled_from([False, False, False, True])) else set()
    return shelf, draw(needs.filter(bool))


def solutions(shelf: Shelf, wanted: list[Need]) -> Iterator[dict[tuple[str, str], Component]]:
    """Every set of versions, one of each component at most, in which everyone has what he asks for and nobody is there unasked."""
    choices = [[None, *(one for one in shelf.needs if (one.kind, one.name) == named)] for named in NAMES]
    for chosen in product(*choices):
        there = {(one.kind, one.name): one for one in chosen if one is not None}
        asked = [*wanted, *(need for one in there.values() for need in shelf.needs[one])]
        if there.keys() == reached(shelf, wanted, there) and all(served(shelf, there, need) for need in asked):
            yield there


def served(shelf: Shelf, there: dict[tuple[str, str], Component], need: Need) -> bool:
    one = there.get((need.kind, need.name))
    return one is not None and fits(one.version, need.range) and (one not in shelf.yanked or one.version == need.range)


def reached(shelf: Shelf, wanted: list[Need], there: dict[tuple[str, str], Component]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    waiting = [(need.kind, need.name) for need in wanted]
    while waiting:
        named = waiting.pop()
        if named in there and named not in found:
            found.add(named)
            waiting += [(need.kind, need.name) for need in shelf.needs[there[named]]]
    return found


@settings(max_examples=600, deadline=None)
@given(shelves())
def test_versions_go_together_where_some_do(drawn: tuple[Shelf, list[Need]]) -> None:
    shelf, wanted = drawn
    all_of_them = list(solutions(shelf, wanted))
    try:
        found = resolve(shelf, [Asked(need, "`a.yaml`") for need in wanted])  # type: ignore[arg-type]
    except Conflict as error:
        assert not all_of_them, f"there is {all_of_them[0]}, and {error}"
        return
    there = {(one.component.kind, one.component.name): one.component for one in found}
    assert there in all_of_them
    for one in there.values():  # what is no release, and what was yanked, only where it is asked for by its full name
        if one in shelf.yanked or not is_release(one.version):
            asked = [*wanted, *(need for other in there.values() for need in shelf.needs[other])]
            assert any(need.range == one.version for need in asked if (need.kind, need.name) == (one.kind, one.name))


@settings(max_examples=600, deadline=None)
@given(shelves(circles=False))
def test_no_other_versions_of_the_same_components_are_all_as_new(drawn: tuple[Shelf, list[Need]]) -> None:
    shelf, wanted = drawn
    try:
        found = resolve(shelf, [Asked(need, "`a.yaml`") for need in wanted])  # type: ignore[arg-type]
    except Conflict:
        return
    there = {(one.component.kind, one.component.name): in_order(one.component.version) for one in found}
    for other in solutions(shelf, wanted):
        if other.keys() == there.keys() and all(in_order(one.version) >= there[named] for named, one in other.items()):
            assert {named: in_order(one.version) for named, one in other.items()} == there


def test_what_is_needed_is_that_of_the_kind_however_names_agree() -> None:
    shelf = Shelf()
    shelf.add("cascade", "a/one", "1.0.0", "ruleset a/one@^1")
    shelf.add("ruleset", "a/one", "1.0.0", "list a/two@^1")
    shelf.add("list", "a/two", "1.0.0")
    found = resolve(shelf, [Asked(Need("cascade", "a/one", "1.0.0"), "`a.yaml`")])  # type: ignore[arg-type]
    assert [(one.component.kind, one.component.name) for one in found] == [("cascade", "a/one"), ("list", "a/two"), ("ruleset", "a/one")]


def test_two_that_ask_for_one_another_are_found() -> None:
    shelf = Shelf()
    shelf.add("ruleset", "a/one", "1.0.0", "list a/two@^1")
    shelf.add("ruleset", "a/one", "1.1.0", "ruleset a/one@^1", "list a/two@^1")
    shelf.add("list", "a/two", "1.0.0", "ruleset a/one@^1")
    for names in (["ruleset a/one"], ["list a/two"], ["list a/two", "ruleset a/one"]):
        asked = [Asked(Need(*name.split(), "^1"), "`a.yaml`") for name in names]
        assert [str(one) for one in resolve(shelf, asked)] == ["a/two@1.0.0", "a/one@1.1.0"]  # type: ignore[arg-type]


# --- how it is told --------------------------------------------------------------------------------------------------------

CONFLICTS = {
    "a diamond: two rule sets over two lines of one record": ["ruleset aml/cash@^1", "ruleset aml/geo@^1"],
    "far below: a feature set asks for less than the cascade": ["ruleset aml/deep@^1", "record bank/payment@^1.4"],
    "no version is so new": ["record bank/payment@^3"],
    "there is one of that name, of another kind": ["features aml/cash@^1"],
    "a slip of the pen": ["ruleset aml/csah@^1"],
    "something that is needed was never published": ["ruleset aml/lost@^1"],
    "all that fit were yanked": ["list bank/watched@^1"],
    "there is none but one before the release": ["model aml/gbm@^3"],
    "very many versions": ["list bank/many@^2"],
    "very many that ask": ["ruleset aml/often@^1", "record bank/payment@^2"],
}


def crowded() -> Shelf:
    shelf = Shelf()
    for version in ("1.0.0", "1.4.0", "2.0.0"):
        shelf.add("record", "bank/payment", version)
    shelf.add("ruleset", "aml/cash", "1.0.0", "record bank/payment@^1")
    for version in ("1.0.0", "1.1.0"):
        shelf.add("ruleset", "aml/geo", version, "record bank/payment@^2")
        shelf.add("list", "bank/watched", version, yanked=True)
    shelf.add("features", "aml/profile", "1.0.0", "record bank/payment@~1.0")
    shelf.add("ruleset", "aml/deep", "1.0.0", "features aml/profile@^1")
    shelf.add("ruleset", "aml/lost", "1.0.0", "list bank/nowhere@^1")
    shelf.add("model", "aml/gbm", "3.0.0-rc.1")
    for number in range(40):
        shelf.add("list", "bank/many", f"1.{number}.0")
        shelf.add("ruleset", "aml/often", f"1.{number}.0", "record bank/payment@^1")
    return shelf


def told(wanted: list[str]) -> str:
    asked = [Asked(Need(kind, *name.split("@")), "`cascades/a.yaml`") for kind, _, name in (one.partition(" ") for one in wanted)]
    with pytest.raises(Conflict) as error:
        resolve(crowded(), asked)  # type: ignore[arg-type]
    return str(error.value)


def test_conflicts_are_told_as_they_should_be_read_aloud() -> None:
    text = "\n".join(f"--- {title}\n{told(wanted)}\n" for title, wanted in CONFLICTS.items())
    expected = Path(__file__).with_name("conflicts.expected")
    if os.environ.get("RESET"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")
