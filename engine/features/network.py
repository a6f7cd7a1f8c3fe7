"""Money followed from one account to the next: which rows lead where, the cycles an event closes, the accounts money came through.

One walk serves live history and the batch, because the order in which it looks at rows is part of the meaning: it says what was found when
a walk had to end. What it is held against is the brute force of the tests. It knows neither stores nor frames.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.features.aggregate import lack
from engine.values import PERCENT_UNIT, Money, Value, interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.lang import ir

TOO_MANY: Final = "too many"

Place = tuple[Any, ...]
"""Where a row stands in order: its time, then the number of its arrival."""


class Hop(NamedTuple):
    """A row that leads from one account to another: its time and number, whether it counts (none where nobody knows; where that waits for
    the event that looks, what it is judged by), and its amount, none where that is not known."""

    time: int
    number: Fraction | int
    source: Value
    target: Value
    counts: Any
    amount: Value = None


class Graph:
    """Hops, found by the account they leave and by the one they reach, by time and then arrival.

    >>> graph = Graph()
    >>> for number, (source, target) in enumerate(["AB", "BC", "AC", "CC"]):
    ...     graph.add(Hop(10 + number, number, source, target, True))
    >>> [hop.target for hop in graph.leaving("A", (10, 0), (99,), 5)], [hop.source for hop in graph.reaching("C", (0,), (99,), 1)]
    (['B', 'C'], ['A'])
    """

    __slots__ = ("_leaving", "_reaching")

    def __init__(self) -> None:
        self._leaving: dict[Value, list[Any]] = {}
        self._reaching: dict[Value, list[Any]] = {}

    def add(self, hop: Hop) -> None:
        """Keep a row; one that leads back to where it began is no hop."""
        if hop.source != hop.target:
            for lane in (self._leaving.setdefault(hop.source, []), self._reaching.setdefault(hop.target, [])):
                if not lane or lane[-1][:2] < hop[:2]:
                    lane.append(hop)
                else:
                    lane.insert(bisect_left(lane, hop[:2]), hop)

    def remove(self, hop: Hop) -> None:
        """Take a row that was added away again."""
        if hop.source != hop.target:
            for lanes, account in ((self._leaving, hop.source), (self._reaching, hop.target)):
                lane = lanes[account]
                del lane[bisect_left(lane, hop[:2])]
                if not lane:
                    del lanes[account]

    def leaving(self, account: Value, after: Place, before: Place, most: int) -> list[Hop]:
        """At most so many of the rows that leave an account between two places, the oldest, and those first."""
        lane = self._leaving.get(account, [])
        low = bisect_left(lane, after)
        return lane[low : min(bisect_left(lane, before), low + most)]

    def reaching(self, account: Value, after: Place, before: Place, most: int) -> list[Hop]:
        """At most so many of the rows that reach an account between two places, the newest, and those first."""
        lane = self._reaching.get(account, [])
        high = bisect_left(lane, before)
        return lane[max(bisect_left(lane, after), high - most) : high][::-1]


# --- which rows are hops ---------------------------------------------------------------------------------------------


def stands(amount: Value, within: int | None, judge: Callable[[Any], bool | None] | None = None) -> Callable[[Hop], bool | None]:
    """How to tell whether a row is a hop to an event of this amount (none where not known); `judge` is for rows that wait for it.

    >>> near = stands(100, 10_000_000)
    >>> [near(Hop(0, 0, "A", "B", True, amount)) for amount in (90, 89, None)]
    [True, False, None]
    """
    close = None if within is None else _close(amount, within)
    if close is None and judge is None:
        return _counts

    def hop_stands(hop: Hop) -> bool | None:
        truth: bool | None = hop.counts if judge is None else judge(hop.counts)
        if truth is False or close is None:
            return truth
        near = None if hop.amount is None else close(hop.amount)
        return near if near is False or truth is True else None

    return hop_stands


def _counts(hop: Hop) -> bool | None:
    truth: bool | None = hop.counts
    return truth


def _close(amount: Value, within: int) -> Callable[[Value], bool | None]:
    """Whether another amount lies within so many hundred-millionths of this one: exactly, and unknown between two currencies."""
    if amount is None:
        return lambda _: None
    if isinstance(amount, Money):
        near = _close(amount.units, within)
        return lambda other: near(other.units) if other.currency == amount.currency else None
    if isinstance(amount, int):
        far = abs(amount) * within // PERCENT_UNIT
        return lambda other: abs(other - amount) <= far
    exact = Fraction(amount)
    low, high = exact - abs(exact) * within / PERCENT_UNIT, exact + abs(exact) * within / PERCENT_UNIT
    return lambda other: low <= other <= high


# --- walks -----------------------------------------------------------------------------------------------------------


class Asker(NamedTuple):
    """The event that looks: its accounts, between which places the rows of its window lie, whether rows may be there that nobody has seen,
    whether it is a hop itself (none where nobody knows), and which rows are hops to it."""

    source: Value
    target: Value
    begin: Place
    end: Place
    short: bool
    own: bool | None
    stands: Callable[[Hop], bool | None]


def followed(function: str, graph: Graph, asker: Asker, network: ir.Network) -> Value:
    """How many cycles or middlemen the event finds: exact, between two bounds, or at least so many where the walk looked at too many rows.

    >>> from engine.lang.ir import Network
    >>> graph = Graph()
    >>> graph.add(Hop(1, 0, "B", "A", True))
    >>> asker = Asker("A", "B", (0,), (2,), False, True, stands(None, None))
    >>> followed("cycles", graph, asker, Network(effort=1)), followed("cycles", graph, asker, Network(effort=0))
    (1, Interval(low=0, high=None, cause='too many'))
    """
    walk = _WALKS[function]
    surely = walk(graph, asker, network, False)
    if surely.spent:
        return interval(surely.found, None, TOO_MANY)
    if not (surely.doubt or asker.short) or surely.settled:
        return surely.found
    if asker.short:
        return interval(surely.found, None, lack(True).cause)
    perhaps = walk(graph, asker, network, True)
    return interval(surely.found, None if perhaps.spent else perhaps.found, TOO_MANY if perhaps.spent else lack(False).cause)


def trails(function: str, graph: Graph, asker: Asker, network: ir.Network) -> list[Hop]:
    """The hops of all that the event finds, those in doubt among them: by time and arrival, each once."""
    walk = _WALKS[function](graph, asker, network, True)
    return sorted({hop[:2]: hop for trail in walk.trails for hop in trail}.values(), key=lambda hop: hop[:2])


class _Spent(Exception):
    """The walk has looked at as many rows as it may."""


class _Walk(ABC):
    """One walk: the hops of each thing it found; whether it was `spent` and had to end; whether it met a row in `doubt`, of which nobody
    knows whether it is a hop; whether it is `settled`, because no other row could change what it found. To be `generous` is to take rows
    in doubt."""

    def __init__(self, graph: Graph, asker: Asker, network: ir.Network, generous: bool) -> None:
        self.graph, self.asker, self.generous, self.left = graph, asker, generous, network.effort
        self.trails: list[tuple[Hop, ...]] = []
        self.spent = self.settled = False
        own = asker.own if asker.source != asker.target else False
        self.doubt = own is None
        self.own = generous if own is None else own
        try:
            self.go(network.hops)
        except _Spent:
            self.spent = True

    @property
    def found(self) -> int:
        return len(self.trails)

    @abstractmethod
    def go(self, hops: int) -> None:
        """Follow the hops, so many still to come."""

    def leaving(self, account: Value, after: Place, before: Place) -> Iterator[Hop]:
        return filter(self._takes, self.graph.leaving(account, after, before, self.left + 1))

    def reaching(self, account: Value, before: Place) -> Iterator[Hop]:
        return filter(self._takes, self.graph.reaching(account, self.asker.begin, before, self.left + 1))

    def _takes(self, hop: Hop) -> bool:
        if not self.left:
            raise _Spent
        self.left -= 1
        truth = self.asker.stands(hop)
        if truth is None:
            self.doubt = True
            return self.generous
        return truth


class _Cycles(_Walk):
    """The chains of accounts from this event's target back to its source, each hop later than the one before, no account twice."""

    def go(self, hops: int) -> None:
        source, target = self.asker.source, self.asker.target
        if not self.own:
            self.settled = not self.doubt
            return
        self.last: dict[Value, Hop] = {}
        for hop in self.reaching(source, self.asker.end):
            self.last.setdefault(hop.source, hop)
        if self.last:
            self.latest = max(hop[:2] for hop in self.last.values())
            self._follow(target, self.asker.begin, (), {source, target}, hops - 1)

    def _follow(self, account: Value, place: Place, trail: tuple[Hop, ...], passed: set[Value], hops: int) -> None:
        """From an account that was reached at a place, with so many hops to go; the earliest way to each next account leads furthest."""
        last = self.last.get(account)
        if last is not None and last[:2] > place:
            self.trails.append((*trail, last))
        if hops > 1:
            met = set(passed)
            for hop in self.leaving(account, place, self.latest):
                if hop.target not in met:
                    met.add(hop.target)
                    self._follow(hop.target, hop[:2], (*trail, hop), passed | {hop.target}, hops - 1)


class _Middlemen(_Walk):
    """The most accounts through which one source reached this event's target, each having received before it passed on."""

    def go(self, hops: int) -> None:
        source, target, end = self.asker.source, self.asker.target, self.asker.end
        through: dict[Value, list[tuple[Hop, ...]]] = {}
        last: dict[Value, Hop | None] = {source: None} if self.own else {}
        for hop in self.reaching(target, end):
            last.setdefault(hop.source, hop)
        for account, passed in last.items():
            met = {account, target}
            for hop in self.reaching(account, end if passed is None else passed[:2]):
                if hop.source not in met:
                    met.add(hop.source)
                    found = through.setdefault(hop.source, [])
                    found.append((hop,) if passed is None else (hop, passed))
                    self.trails = max(self.trails, found, key=len)


_WALKS: Final[dict[str, type[_Walk]]] = {"cycles": _Cycles, "middlemen": _Middlemen}
