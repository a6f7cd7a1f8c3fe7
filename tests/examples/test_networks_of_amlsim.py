"""Offline graph work agrees: the cycles that networkx finds in AMLSim's transfers are those that the feature counts, event by event."""

from __future__ import annotations

import datetime as dt
import importlib.util
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import networkx
import pytest

from bench.networks import by_batch, network, transfers
from engine.plan import Row

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "aml"
DAYS, LAST_DAY = 40, 45
ROWS = [row for row in transfers() if row["day"] <= LAST_DAY]


@pytest.mark.parametrize("within", [None, 50_000_000])
def test_networkx_finds_the_cycles_that_the_feature_counts(within: int | None) -> None:
    found = by_batch(ROWS, network("cycles", DAYS, 4, within))
    assert found == offline(within) and sum(found) > 0


def offline(within: int | None) -> list[int]:
    """For every transfer how many cycles it closes: of all cycles of accounts, seen from each of their accounts, those that have transfers
    in the order of time and arrival, of which it is the last."""
    by_ends = defaultdict(list)
    for place, row in enumerate(ROWS):
        by_ends[row["payer"], row["payee"]].append((place, row))
    closed = [0] * len(ROWS)
    for cycle in networkx.simple_cycles(networkx.DiGraph(by_ends.keys()), length_bound=4):
        for turn in range(len(cycle)):
            *before, last = pairs(cycle[turn:] + cycle[:turn])
            for place, row in by_ends[last]:
                closed[place] += len(cycle) > 1 and any(chains([by_ends[ends] for ends in before], row, within, -1, place))
    return closed


def pairs(cycle: Sequence[str]) -> list[tuple[str, str]]:
    return [(cycle[step], cycle[(step + 1) % len(cycle)]) for step in range(len(cycle))]


def chains(legs: Sequence[Sequence[tuple[int, Row]]], last: Row, within: int | None, after: int, before: int) -> Iterator[bool]:
    """Every way to go along these legs one after the other, in the window of the last transfer. The file is in order of time."""
    if not legs:
        yield True
        return
    for place, row in legs[0]:
        close = within is None or abs(row["amount"] - last["amount"]) * 100_000_000 <= within * last["amount"]
        if after < place < before and row["day"] > last["day"] - DAYS and close:
            yield from chains(legs[1:], last, within, place, before)


def test_a_case_seen_whole_has_the_cycles_that_the_feature_counted() -> None:
    spec = importlib.util.spec_from_file_location("case_of_amlsim", FOLDER / "case.py")
    assert spec is not None and spec.loader is not None
    case = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(case)
    rows = [row for row in transfers() if row["day"] <= 52]
    counted = by_batch(rows, network("cycles", 30, 4))
    closed = sum(count for row, count in zip(rows, counted, strict=True) if (row["payer"], row["day"]) == ("19972", 52))
    _, group, found, *told = case.tell(19972, dt.date(2017, 2, 22), 30, 4)
    assert closed == 2 and found == "2 cycles of up to 4 hops" and all(line.endswith("2017-02-22 19972 -> 9984 208.41") for line in told)
    assert group.startswith("its group has ") and all(line.strip() in (FOLDER / "README.md").read_text(encoding="utf-8") for line in told)
