"""What cycles and middlemen mean, by brute force: every chain of accounts there could be is tried, with every choice of rows. Nothing is
shared with the engine but what a value is and what an expression says.

Where a walk may look at too many rows its order is part of the meaning: that walk is written down plainly below, and held against the brute
force wherever it comes to an end.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.lang import ir
from engine.plan import NOW, TICK, Row
from engine.values import Missing, Money, Value, first, interval, known, missing

if TYPE_CHECKING:
    from tests.features.oracle import History

PERCENT = 100_000_000


class Hop(NamedTuple):
    """A row that is looked at: its place among all by time and arrival, and whether it is a hop (none where nobody knows)."""

    place: int
    source: Value
    target: Value
    stands: bool | None


class Spent(Exception):
    """More rows than the walk may look at; with what it has found."""


def said(history: History, a: ir.Aggregate) -> Value:
    """What the feature says of this event."""
    assert a.network is not None
    this, now = history.this, history.now
    ends = [this[name] for name in a.per]
    if not all(map(known, ends)):
        return first(ends)
    kept, ever = entered(history, a)
    if ever and now < max(ever) - history.late:
        return missing("late")
    if a.needs is not None and not any(time <= history.back(now, *a.needs[1:]) for time in ever):
        return missing("short history")
    given = None if a.window.field is None else this[a.window.field]
    if isinstance(given, Missing):
        return given
    begin, end = history.span(a.window)
    others = [row for row in kept if row[NOW] <= now and (this.get(TICK) or not history.same(row, this))]
    in_order = sorted(others, key=lambda row: row[NOW])
    found = [looked(history, a, place, row) for place, row in enumerate(in_order) if history.in_time(a.window, row)]
    hops = [hop for hop in found if hop is not None]
    own = itself(history, a) if begin < end and ends[0] != ends[1] else False
    return answer(a, hops, Hop(len(in_order), *ends, own), begin < end and begin < history.since)


def entered(history: History, a: ir.Aggregate) -> tuple[list[Row], list[int]]:
    """The rows of the network in order of arrival, those that have both ends, and the times of all that ever entered it. What came too late
    did not touch it: it neither entered, nor took away the version that it corrects."""
    kept: list[Row] = []
    ever: list[int] = []
    for row in history.arrived:
        if ever and row[NOW] < max(ever) - history.late:
            continue
        kept = [other for other in kept if not history.same(other, row)]
        if all(known(row[name]) for name in a.per):
            kept.append(row)
            ever.append(row[NOW])
    return kept, ever


def looked(history: History, a: ir.Aggregate, place: int, row: Row) -> Hop | None:
    """A row as the walk sees it: none where it is not there at all, because it leads nowhere or never counted."""
    one, compares = history.judge(a, row), a.where is not None and any(name.startswith("this.") for name in ir.reads(a.where))
    source, target = (row[name] for name in a.per)
    if source == target or (one is None and not compares):
        return None
    stands: bool | None = False
    if one is not None:
        near = close(history, a, one.value)
        stands = False if near is False else True if one.surely and near else None
    return Hop(place, source, target, stands)


def close(history: History, a: ir.Aggregate, value: Value) -> bool | None:
    assert a.network is not None
    if a.network.within is None:
        return True
    mine = history.judge(ir.Aggregate("sum", a.of, a.window, a.per, None), history.this)
    if mine is None or mine.value is None or value is None:
        return None
    if isinstance(value, Money):
        if value.currency != mine.value.currency:
            return None
        value, wanted = value.units, mine.value.units
    else:
        wanted = mine.value
    return abs(Fraction(value) - Fraction(wanted)) <= abs(Fraction(wanted)) * a.network.within / PERCENT


def itself(history: History, a: ir.Aggregate) -> bool | None:
    """Whether this event is a hop."""
    one = None if history.this.get(TICK) else history.judge(a, history.this)
    return False if one is None else True if one.surely else None


# --- what follows from the hops --------------------------------------------------------------------------------------


def answer(a: ir.Aggregate, hops: Sequence[Hop], this: Hop, short: bool) -> Value:
    count, walk = (cycles, walk_cycles) if a.function == "cycles" else (middlemen, walk_middlemen)
    assert a.network is not None
    if a.function == "cycles" and this.stands is False:
        return 0
    least, doubt, over = walked(walk, a.network, hops, this, (True,))
    if over:
        return interval(least, None, "too many")
    assert least == count(a.network.hops, *taken(hops, this, (True,)))
    if short:
        return interval(least, None, "short history")
    most = count(a.network.hops, *taken(hops, this, (True, None)))
    if not doubt:
        assert least == most
        return least
    found, _, over = walked(walk, a.network, hops, this, (True, None))
    assert over or found == most
    return interval(least, None if over else most, "too many" if over else "undecided history")


def taken(hops: Sequence[Hop], this: Hop, stands: Sequence[bool | None]) -> tuple[list[Hop], Hop | None, Hop]:
    """The rows that are taken for hops, and the event where it is."""
    return [hop for hop in hops if hop.stands in stands], this if this.stands in stands else None, this


def cycles(hops: int, rows: Sequence[Hop], own: Hop | None, this: Hop) -> int:
    """How many chains of accounts lead from the event's target to its source."""
    if own is None:
        return 0
    others = {end for hop in rows for end in (hop.source, hop.target)} - {own.source, own.target}
    chains = (chain for number in range(hops - 1) for chain in itertools.permutations(sorted(others), number))
    return sum(leads(rows, (own.target, *chain, own.source), -1) for chain in chains)


def leads(rows: Sequence[Hop], chain: Sequence[Value], after: int) -> bool:
    """Whether there are rows along a chain of accounts, each after the one before."""
    if len(chain) < 2:
        return True
    return any(leads(rows, chain[1:], row.place) for row in rows if (row.source, row.target) == tuple(chain[:2]) and row.place > after)


def middlemen(_: int, rows: Sequence[Hop], own: Hop | None, this: Hop) -> int:
    """Through how many accounts one source reached the event's target, at most."""
    rows = [*rows, *([own] if own else [])]
    accounts = {end for hop in rows for end in (hop.source, hop.target)}
    return max(
        (
            sum(leads(rows, (source, account, this.target), -1) for account in accounts if account not in (source, this.target))
            for source in accounts
            if source != this.target
        ),
        default=0,
    )


# --- walks that may have to end --------------------------------------------------------------------------------------


def walked(walk: Any, network: ir.Network, hops: Sequence[Hop], this: Hop, stands: Sequence[bool | None]) -> tuple[int, bool, bool]:
    """What a walk finds, whether it met something that nobody knows, and whether it looked at too many rows."""
    found, looks, doubt = 0, 0, this.stands is None
    for event in walk(network.hops, hops, this, stands):
        if isinstance(event, int):
            found = max(found, event)
            continue
        if looks == network.effort:
            return found, doubt, True
        looks, doubt = looks + 1, doubt or event.stands is None
    return found, doubt, False


def walk_cycles(hops: int, rows: Sequence[Hop], this: Hop, stands: Sequence[bool | None]) -> Iterator[Hop | int]:
    """The rows in the order they are looked at, and after each how many cycles there are."""
    if this.stands not in stands:
        return
    last: dict[Value, int] = {}
    for row in reversed([row for row in rows if row.target == this.source]):
        yield row
        if row.stands in stands and row.source not in last:
            last[row.source] = row.place
    found = itertools.count(1)

    def follow(chain: tuple[Value, ...], after: int) -> Iterator[Hop | int]:
        if last.get(chain[-1], -1) > after:
            yield next(found)
        been: set[Value] = set()
        for row in rows if len(chain) < hops - 1 else ():
            if row.source == chain[-1] and after < row.place < max(last.values()):
                yield row
                if row.stands in stands and row.target not in {*chain, *been, this.source}:
                    been.add(row.target)
                    yield from follow((*chain, row.target), row.place)

    if last:
        yield from follow((this.target,), -1)


def walk_middlemen(_: int, rows: Sequence[Hop], this: Hop, stands: Sequence[bool | None]) -> Iterator[Hop | int]:
    last: dict[Value, int] = {this.source: this.place} if this.stands in stands else {}
    for row in reversed([row for row in rows if row.target == this.target]):
        yield row
        if row.stands in stands and row.source not in last:
            last[row.source] = row.place
    through: dict[Value, int] = {}
    for account, place in last.items():
        been: set[Value] = set()
        for row in reversed([row for row in rows if row.target == account and row.place < place]):
            yield row
            if row.stands in stands and row.source not in {*been, this.target}:
                been.add(row.source)
                through[row.source] = through.get(row.source, 0) + 1
                yield through[row.source]
