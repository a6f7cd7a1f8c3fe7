"""Exchange rates as they were loaded, and what an amount comes to in another currency. They never change.

A rate says how much of a currency one unit of the base buys. It is a whole number of the rates' smallest step, the same for all, so that a
quotient of two is exact. In force is the last rate published on or before a day, if it is not too old.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from engine.currencies import DIGITS
from engine.periods import NOTHING, Steps, moment_of
from engine.values import EXACT_MAX, Missing, Value, date_of, exact, integer, missing, round_half_even

RATE_MAX: Final = 10**18
"""The largest a rate may be, counted in steps."""
NO_RATE: Final = missing("currency")


@dataclass(frozen=True, eq=False)
class Rates:
    """`published` gives for every currency but the base its days, rising, and the rates of those days, in steps of 10 to the minus
    `decimals`. A rate is in force up to `oldest` days after its own.

    >>> rates = Rates("fx/ecb", "1.0.0", "EUR", 4, 7, {"USD": ([0, 3], [10_800, 12_500])})
    >>> [rates.on("USD", day, "date", "UTC") for day in (-1, 0, 2, 3, 10, 11)], rates.on("EUR", 99, "date", "UTC")
    ([None, 10800, 10800, 12500, 12500, None], 10000)
    """

    name: str
    version: str
    base: str
    decimals: int
    oldest: int
    published: Mapping[str, tuple[Sequence[int], Sequence[int]]]
    digest: str = ""
    _made: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.digest:
            said = [self.base, self.decimals, self.oldest, sorted((c, list(d), list(r)) for c, (d, r) in self.published.items())]
            object.__setattr__(self, "digest", hashlib.sha256(repr(said).encode()).hexdigest())

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Rates) and self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def unit(self) -> int:
        """The rate of the base."""
        return int(10**self.decimals)

    def __contains__(self, currency: str) -> bool:
        return currency == self.base or currency in self.published

    def kept(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once under the key: what others derive from it lives as long as it does."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def steps(self, kind: str, zone: str) -> Steps:
        """Which of `flat` is in force, for records whose time is of this kind and whose days are those of this zone."""
        made: Steps = self.kept(("steps", kind, zone), lambda: self._steps(kind, zone))
        return made

    def _steps(self, kind: str, zone: str) -> Steps:
        number, found = 0, dict[Any, list[tuple[int, int]]]()
        for currency, (days, _) in self.published.items():
            found[currency] = self._changes(days, number, kind, zone)
            number += len(days)
        return Steps(found)

    def _changes(self, days: Sequence[int], number: int, kind: str, zone: str) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for place, day in enumerate(days):
            after = day + self.oldest + 1
            found.append((moment_of(day, "date", kind, zone), number + place))
            if place + 1 == len(days) or days[place + 1] > after:
                found.append((moment_of(after, "date", kind, zone), NOTHING))
        return found

    @property
    def flat(self) -> tuple[Sequence[int], Sequence[int]]:
        """The days and the rates of all currencies, one after the other."""
        several = self.published.values()
        made: tuple[Sequence[int], Sequence[int]] = self.kept(
            "flat", lambda: ([day for days, _ in several for day in days], [rate for _, rates in several for rate in rates])
        )
        return made

    def on(self, currency: str, at: int, kind: str, zone: str) -> int | None:
        """The rate of a currency in force at a moment; none where there is none."""
        if currency == self.base:
            return self.unit
        number = self.steps(kind, zone).find(currency, at)
        return None if number == NOTHING else self.flat[1][number]

    def told(self, currency: str, at: int, kind: str, zone: str) -> str:
        """The rate of a currency at a moment as explanations name it."""
        number = self.steps(kind, zone).find(currency, at)
        if number == NOTHING:
            return f"no rate of {currency}"
        return f"1 {self.base} = {self._written(self.flat[1][number])} {currency} of {date_of(self.flat[0][number]).isoformat()}"

    def _written(self, rate: int) -> str:
        whole, rest = divmod(rate, self.unit)
        return f"{whole}.{rest:0{self.decimals}d}".rstrip("0").rstrip(".") if self.decimals else str(whole)

    def exchange(self, source: str | None, target: str, scale: int, kind: str, zone: str) -> Exchange:
        """What turns amounts of `source` (none where each brings its own currency) into `target`, made once."""
        key = ("exchange", source, target, scale, kind, zone)
        made: Exchange = self.kept(key, lambda: Exchange(self, source, target, scale, kind, zone))
        return made


class Exchange:
    """Turns an amount, counted `scale` times more finely than its minor unit, into whole minor units of `target` at a moment: exact within
    128 bits and then rounded once, half-even. Missing with cause `currency` where a rate is not in force, else `overflow`.

    >>> rates = Rates("fx/ecb", "1.0.0", "EUR", 4, 7, {"USD": ([0], [10_800]), "JPY": ([0], [1_620_000])})
    >>> to_euros, to_yen = (rates.exchange("USD", target, 1, "date", "UTC") for target in ("EUR", "JPY"))
    >>> to_euros(10_800, 0), to_yen(10_800, 0), to_yen(10_800, 8)
    (10000, 16200, missing (currency))
    """

    __slots__ = ("_base", "_find", "_rates", "_scale", "_source", "_target", "_unit")

    def __init__(self, rates: Rates, source: str | None, target: str, scale: int, kind: str, zone: str) -> None:
        self._find, self._rates = rates.steps(kind, zone).find, rates.flat[1]
        self._base, self._unit, self._source, self._target, self._scale = rates.base, rates.unit, source, target, scale

    def __call__(self, value: Value, at: int) -> Value:
        source, units = (self._source, value) if self._source is not None else (value.currency, value.units)
        if source == self._target:
            return integer(round_half_even(units, self._scale))
        given, wanted = self._on(source, at), self._on(self._target, at)
        if given is None or wanted is None:
            return NO_RATE
        return converted(units, given, wanted, *factors(source, self._target, self._scale))

    def _on(self, currency: str, at: int) -> int | None:
        if currency == self._base:
            return self._unit
        number = self._find(currency, at)
        return None if number == NOTHING else self._rates[number]


def factors(source: str, target: str, scale: int) -> tuple[int, int]:
    """By how much minor units grow finer on their way to the other currency, and coarser."""
    digits = DIGITS[target] - DIGITS[source]
    return 10 ** max(digits, 0), scale * 10 ** max(-digits, 0)


def converted(units: int, given: int, wanted: int, finer: int, coarser: int) -> Value:
    """``units * wanted * finer / (given * coarser)``, rounded once, half-even: everything before is exact, within 128 bits."""
    above, below = exact(units * wanted * finer), given * coarser
    if above.__class__ is Missing or below > EXACT_MAX // 2:
        return missing("overflow")
    return integer(round_half_even(above, below))
