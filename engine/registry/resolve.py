"""Which versions go together: the newest of every component that all who ask for it can take. The search is resolvelib's, as pip does it.

Where there is none, everyone who asks is named with what he asks for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import resolvelib
from resolvelib.resolvers import Resolution

from engine.diagnostics import suggest
from engine.errors import RegistryError
from engine.registry.manifest import VERSION, Component, fits, in_order
from engine.registry.published import Need, Published, Registry


@dataclass(frozen=True, slots=True)
class Asked:
    """A need, and who has it."""

    need: Need
    by: str


class Conflict(RegistryError):
    """No versions go together; `asked` is what cannot be had at once."""

    def __init__(self, message: str, asked: tuple[Asked, ...]) -> None:
        super().__init__(message)
        self.asked = asked


class _Provider(resolvelib.AbstractProvider[Asked, Published, str]):
    """Answers resolvelib's questions from a registry that is read once; versions that are `held` go before newer ones."""

    def __init__(self, registry: Registry, wanted: Sequence[Asked], held: Collection[Component]) -> None:
        self.registry, self.held, self._wanted = registry, held, wanted
        self.there: dict[str, list[Published]] = defaultdict(list)
        for one in reversed(registry.all()):  # the newest first
            self.there[_named(one.component.kind, one.component.name)].append(one)
        self._needs: dict[Component, list[Asked]] = {}

    def identify(self, requirement_or_candidate: Asked | Published) -> str:
        one = requirement_or_candidate
        asked = one.need if isinstance(one, Asked) else one.component
        return _named(asked.kind, asked.name)

    def get_preference(
        self, identifier: str, resolutions: Any, candidates: Any, information: Any, backtrack_causes: Sequence[Any]
    ) -> tuple[bool, bool, str]:
        """What is asked for by one full version is settled first: there is no choice, and whoever forbids it is named."""
        causes = {self.identify(cause.requirement) for cause in backtrack_causes}
        exact = any(VERSION.fullmatch(one.requirement.need.range or "") for one in information[identifier])
        return not exact, identifier not in causes, identifier

    def find_matches(
        self, identifier: str, requirements: Mapping[str, Iterator[Asked]], incompatibilities: Mapping[str, Iterator[Published]]
    ) -> list[Published]:
        asked, refused = list(requirements[identifier]), {str(one) for one in incompatibilities[identifier]}
        there = [one for one in self.there.get(identifier, ()) if str(one) not in refused]
        found = [one for one in there if all(self.is_satisfied_by(need, one) for need in asked)]
        return sorted(found, key=lambda one: one.component not in self.held)

    def is_satisfied_by(self, requirement: Asked, candidate: Published) -> bool:
        need, component = requirement.need, candidate.component
        if candidate.yanked is not None and component.version != need.range:  # one that is yanked is taken by its full name alone
            return False
        return fits(component.version, need.range)

    def get_dependencies(self, candidate: Published) -> Iterable[Asked]:
        one = candidate.component
        if one not in self._needs:
            self._needs[one] = [Asked(need, str(one)) for need in self.registry.config(candidate).needs]
        return self._needs[one]

    def led_to(self, name: str) -> list[Asked]:
        """How whoever began came to ask for a component: the shortest chain of those who ask, from the last to the first."""
        chain = {asked.need.name: [asked] for asked in self._wanted}
        waiting = list(chain)
        while waiting and name not in chain:
            asker = waiting.pop(0)
            for one, needs in self._needs.items():
                for asked in needs if one.name == asker else ():
                    if asked.need.name not in chain:
                        chain[asked.need.name] = [asked, *chain[asker]]
                        waiting.append(asked.need.name)
        return chain.get(name, [])


def _named(kind: str, name: str) -> str:
    return f"{kind} {name}"


def resolve(registry: Registry, wanted: Sequence[Asked], held: Collection[Component] = ()) -> list[Published]:
    """One version of every component that is asked for, directly or by another, by kind and name: one that is `held` if it can be, else
    the newest. Raises `Conflict`, naming who asks for what."""
    provider = _Provider(registry, wanted, held)
    search: Resolution[Asked, Published, str] = Resolution(provider, resolvelib.BaseReporter())
    try:
        found = search.resolve(wanted, max_rounds=100_000).mapping
    except resolvelib.ResolutionImpossible as problem:
        causes = tuple(dict.fromkeys(cause.requirement for cause in problem.causes))
        raise Conflict(_conflict(provider, causes), causes) from None
    except resolvelib.ResolutionTooDeep:
        raise RegistryError("no versions that go together were found in 100,000 rounds; ask for narrower ranges") from None
    return sorted(_reached(provider, wanted, found), key=lambda one: one.component)


def _reached(provider: _Provider, wanted: Iterable[Asked], found: Mapping[str, Published]) -> list[Published]:
    """What was found and is asked for in the end, without what the search tried on its way. `Resolver` would do it, and follows two that
    ask for one another without end."""
    reached: dict[str, Published] = {}
    waiting = list(wanted)
    while waiting:
        name = provider.identify(waiting.pop())
        if name not in reached:
            reached[name] = found[name]
            waiting += provider.get_dependencies(found[name])
    return list(reached.values())


def _conflict(provider: _Provider, causes: Iterable[Asked]) -> str:
    asked: dict[str, list[Asked]] = defaultdict(list)
    for one in causes:
        asked[_named(one.need.kind, one.need.name)].append(one)
    return "\n".join(_told(provider, name, some) for name, some in sorted(asked.items()))


def _told(provider: _Provider, name: str, asked: Sequence[Asked]) -> str:
    there = provider.there.get(name, [])
    who = [f"\n  {line}" for line in _who(provider, asked)]
    if not there:
        hint = suggest(name, provider.there)
        return f"there is no {name} in `{provider.registry.place}`:" + "".join(who) + (f"\n  {hint}" if hint else "")
    newest = ", ".join(one.component.version + (" (yanked)" if one.yanked else "") for one in reversed(there[:_MOST]))
    older = f", and {len(there) - _MOST} older" if len(there) > _MOST else ""
    serves = "serves everyone" if len(who) > 1 else "serves"
    hint = _hint([one for one in there if all(_nearly(one, need.need.range) for need in asked)])
    return f"no version of {name} {serves}:{''.join(who)}\n  there are {newest}{older}" + (f"; {hint}" if hint else "")


_MOST: Final = 8
"""How many versions are named."""


def _who(provider: _Provider, asked: Sequence[Asked]) -> Iterator[str]:
    """Who asks for what, the versions of one component together; and who asks for these, unless it is said already."""
    grouped: dict[tuple[str, Need], list[str]] = defaultdict(list)
    for one in sorted(asked, key=lambda one: (one.by.startswith("`"), one.by)):
        whole, _, version = one.by.rpartition("@")
        grouped[(whole or one.by, one.need)].append(version if whole else "")
    for (whole, need), versions in grouped.items():
        named = f"{whole}@{_first(versions)}" if versions[0] else whole
        through = "; ".join(f"{other.by} asks for {other.need}" for other in provider.led_to(whole) if other not in asked)
        yield f"{named} {'asks' if len(versions) == 1 else 'ask'} for {need}" + (f" ({through})" if through else "")


def _first(versions: Sequence[str]) -> str:
    ordered = sorted(versions, key=in_order, reverse=True)
    return ", ".join(ordered[:_MOST]) + (f" and {len(ordered) - _MOST} older" if len(ordered) > _MOST else "")


def _nearly(one: Published, wanted: str | None) -> bool:
    """Whether a range would take a version, were it not yanked and were it a release."""
    return fits(one.component.version.partition("-")[0], wanted) or one.component.version == wanted


def _hint(there: Sequence[Published]) -> str:
    """What to do about versions that everyone could take, and nobody takes unasked."""
    if not there:
        return ""
    one = there[0]
    why = f"was yanked: {one.yanked}" if one.yanked else "is no release"
    return f"{one.component.version} {why}; it is taken by its full name alone, {one}"
