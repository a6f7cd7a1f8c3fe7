"""Which rows a batch takes, and which it knows: against a dictionary."""

from __future__ import annotations

from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.backends.columnar import pack
from engine.features import columnar_seen
from engine.features.columnar_seen import ANSWER, Seen, content
from engine.plan import TICK, Row
from engine.record import Record
from engine.values import MISSING, Money
from tests.features.events import ANY_MONEY, event, record, tick


def frame(rows: list[Row], under: Record) -> pl.DataFrame:
    made = pack(rows, {field.name: field.type for field in under.fields})
    return made.with_columns(pl.Series(TICK, [row.get(TICK) for row in rows], dtype=pl.Boolean))


def taken(seen: Seen, rows: list[Row], under: Record) -> list[Any]:
    """For every row its number, `tick` or `refused`."""
    found, rejects = seen.sort_out(frame(rows, under), under)
    numbers = iter(["tick" if number is None else number for number in found[ANSWER]])
    refused = {reject.row for reject in rejects}
    return ["refused" if place in refused else next(numbers) for place in range(len(rows))]


def by_dictionary(known: dict[Any, Any], rows: list[Row], under: Record) -> list[Any]:
    found: list[Any] = []
    for row in rows:
        key = tuple(row[name] for name in under.key)
        if row["at"] is MISSING or (MISSING in key and not row.get(TICK)):
            found.append("refused")
        elif row.get(TICK):
            found.append("tick")
        else:
            number, said = known.setdefault(key, (len(known), row))
            found.append(number if said == row else "refused")
    return found


def stream(random: Random, keys: int, length: int) -> list[Row]:
    def some() -> Row:
        name = random.choice([*(f"T{number}" for number in range(keys)), MISSING])
        if random.random() < 0.1:
            return {**tick(random.choice([1, MISSING]), record()), "id": name}
        return event(random.choice([1, 1, 1, 2, MISSING]), id=name, branch=random.choice([1, 1, 2]))

    return [some() for _ in range(length)]


def agree(seed: int) -> None:
    random = Random(seed)
    under = record(key=random.choice([("id",), ("branch",), ("id", "branch")]))
    seen, known = Seen(), {}
    for _ in range(random.choice([1, 3, 12])):
        rows = stream(random, random.choice([3, 60]), random.choice([0, 1, 5, 40]))
        assert taken(seen, rows, under) == by_dictionary(known, rows, under)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_rows_are_known_again(seed: int) -> None:
    agree(seed)


@pytest.mark.parametrize("seed", range(20))
def test_keys_of_one_hash_are_told_apart_by_the_other(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = columnar_seen._hashed

    def few(parts: Any, given: pl.DataFrame, own: int) -> pl.Expr:
        return hashed(parts, given, own) % (3 if own == 1 else 2**63)

    monkeypatch.setattr(columnar_seen.secrets, "randbits", lambda _: next(seeds))
    monkeypatch.setattr(columnar_seen, "_hashed", few)
    seeds = iter([1, 2] * 100)
    agree(seed)


def test_content_is_the_same_with_and_without_causes_and_tells_all_fields_apart() -> None:
    under = record()
    whole = frame([event(1), event(1, merchant=MISSING), event(1, account="A2")], under)
    said = content(whole, under)
    assert said.n_unique() == 3
    assert content(whole.select(pl.exclude("^.*#$")), under).equals(said)
    for field in under.fields:
        rows = [event(1, id="T"), {**event(1, id="T"), field.name: MISSING}]
        changed = content(frame(rows, under), under)
        assert (changed[0] == changed[1]) == (rows[0] == rows[1]), field


def test_currencies_are_content() -> None:
    under = record()
    assert under.field("price").type == ANY_MONEY
    said = content(frame([event(1, id="T", price=Money(5, code)) for code in ("USD", "EUR")], under), under)
    assert said[0] != said[1]
