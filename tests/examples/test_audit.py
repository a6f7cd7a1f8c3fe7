"""The audit of real payments, held against a second computation of its rules in plain Python that shares no code with the engine."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from engine.api import Engine

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "purchase_cards"
MONTHS = ("2014-04", "2014-05", "2014-06")
START = dt.date(2014, 4, 1)


@dataclass(frozen=True)
class Payment:
    key: tuple[str, int]
    day: dt.date
    amount: Decimal
    merchant: str
    card: str


def payments() -> list[Payment]:
    """In order of arrival: by day, then file, then row."""
    found = []
    for month in MONTHS:
        with gzip.open(FOLDER / f"{month}.csv.gz", "rt", encoding="utf-8", newline="") as file:
            for row, cells in enumerate(csv.DictReader(file), start=1):
                day, amount = dt.date.fromisoformat(cells["TRANS DATE"]), Decimal(cells["ORIGINAL GROSS AMT"])
                found.append(Payment((f"{month}.csv.gz", row), day, amount, cells["MERCHANT NAME"], cells["CARD NUMBER"]))
    return sorted(found, key=lambda payment: (payment.day, payment.key))


def raw(month: str) -> pl.DataFrame:
    frame = pl.read_csv(FOLDER / f"{month}.csv.gz", infer_schema=False)
    return frame.with_columns(pl.lit(f"{month}.csv.gz").alias("file"), pl.int_range(1, frame.height + 1).alias("row"))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(FOLDER / "cascades" / "audit.yaml")


@pytest.fixture(scope="module")
def decisions(engine: Engine) -> dict[tuple[str, int], dict[str, object]]:
    frame = pl.concat([raw(month) for month in MONTHS])
    decided = engine.decide_batch(frame, detail="names", history_from=START.isoformat())
    assert decided.rejects.height == 0
    return {(row["key"]["file"], row["key"]["row"]): row for row in decided.to_dicts()}


def expected() -> dict[str, set[tuple[str, int]]]:
    """The payments each of some rules is hit on, worked out naively."""
    hits: dict[str, set[tuple[str, int]]] = defaultdict(set)
    of_card: dict[str, list[Payment]] = defaultdict(list)
    per_item = {
        "civil justice cent",
        "companies house",
        "disclosure  barring",
        "dvla driver online",
        "dvla vehicle tax",
        "gro hm passport office",
    }
    per_item |= {"hm passport office", "hmcourts-service.g", "land registry", "tv licensing", "tvlicensing.co.uk", "www.dvla.gov.uk"}
    per_item |= {"www.moneyclaim.gov"}
    for payment in payments():
        seen = of_card[payment.card]
        seen.append(payment)
        today = [p for p in seen if p.day == payment.day]
        here = [p for p in today if p.merchant == payment.merchant]
        bought = [p.amount for p in here if p.amount > 0]
        same = sum(p.amount == payment.amount for p in here)
        week = sum(p.amount for p in seen if p.amount > 0 and payment.day - p.day < dt.timedelta(7))
        whole_week = payment.day - dt.timedelta(6) >= START
        if whole_week and week > 10_000 and payment.amount > 0:
            hits["WEEK-01"].add(payment.key)
        if same >= 2 and payment.amount >= 50:
            hits["TWICE-01"].add(payment.key)
        if len({p.merchant for p in today}) >= 6:
            hits["SELLERS-01"].add(payment.key)
        split = len(bought) >= 2 and payment.amount > 0 and same < 2 and payment.merchant not in per_item
        if split and max(p.amount for p in here) < 500 <= sum(bought):
            hits["SPLIT-01"].add(payment.key)
        if split and max(p.amount for p in here) < 250 <= sum(bought) < 500:
            hits["SPLIT-02"].add(payment.key)
        if payment.amount <= -500:
            hits["REFUND-01"].add(payment.key)
    return hits


def test_the_rules_hit_what_a_naive_computation_hits(decisions: dict[tuple[str, int], dict[str, object]]) -> None:
    wanted = expected()
    for rule in ("WEEK-01", "TWICE-01", "SELLERS-01", "SPLIT-01", "SPLIT-02", "REFUND-01"):
        assert wanted[rule], rule
        assert {key for key, row in decisions.items() if rule in row["hits"]} == wanted[rule], rule  # type: ignore[operator]


def test_windows_that_reach_before_the_start_are_undecided(decisions: dict[tuple[str, int], dict[str, object]]) -> None:
    """No card has 180 days of history yet: its first use is undecided, and a second settles the rule."""
    uses: dict[str, int] = defaultdict(int)
    for payment in payments():
        uses[payment.card] += 1
        undecided = "QUIET-01" in decisions[payment.key]["undecided"]  # type: ignore[operator]
        before = payment.day < START
        assert undecided == (payment.amount > 0 and (uses[payment.card] == 1 or before)), payment


def test_the_first_week_has_no_weekly_sums(decisions: dict[tuple[str, int], dict[str, object]]) -> None:
    for payment in payments():
        undecided = "WEEK-01" in decisions[payment.key]["undecided"]  # type: ignore[operator]
        assert undecided == (payment.day - dt.timedelta(6) < START and payment.amount > 0), payment


def test_every_outcome_that_was_given_is_explained_by_the_policies(decisions: dict[tuple[str, int], dict[str, object]]) -> None:
    """A robust decision is the only one possible, and nothing is decided that was not possible except by a policy."""
    for row in decisions.values():
        assert row["robust"] == (len(row["possible"]) == 1)  # type: ignore[arg-type]
        if row["robust"]:
            assert row["possible"] == [row["outcome"]]


def test_the_same_payments_one_by_one_are_decided_alike(engine: Engine) -> None:
    """The batch over a file and a live replay of it in the order of arrival."""
    frame = raw(MONTHS[0])
    order = sorted(range(frame.height), key=lambda row: frame["TRANS DATE"][row])[:120]
    batch = engine.decide_batch(frame[order], detail="names", history_from=START.isoformat()).to_dicts()
    with engine.open_store("memory:", history_from=START.isoformat()) as store:
        for event, row in zip(frame[order].to_dicts(), batch, strict=True):
            one = engine.decide(event, store=store)
            assert (one.outcome, list(one.possible), list(one.hits), list(one.undecided)) == tuple(
                row[name] for name in ("outcome", "possible", "hits", "undecided")
            )
