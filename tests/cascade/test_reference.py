"""Reference tables and exchange rates: which row and which rate hold, how they are loaded, and decisions that read them."""

from __future__ import annotations

import shutil
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random

import numpy as np
import polars as pl
import pytest

from engine import Engine, replay
from engine.backends.columnar_lookup import Bisection
from engine.errors import EngineError
from engine.lang import check
from engine.lang.parse import parse
from engine.periods import NOTHING, start_of
from engine.rates import Rates
from engine.reference_table import Bounds, ReferenceTable, TableColumn
from engine.values import DAY, INT64_MAX, INT64_MIN, TEXT, missing, round_half_even

FILES = {
    "rulesets/bank/payment.rules": """
record bank/payment version 1.0.0
  zone "Europe/Berlin"
  key id
  time booked_at
  field id: text
  field booked_at: datetime
  field account: text optional
  field payer: text optional
  field amount: money USD not negative optional
""",
    "rulesets/bank/customers.csv": """customer,segment,income,from,to,loaded_at
A1,retail,1200.50,2020-01-01,2025-12-31,2020-01-02T08:00:00Z
A1,private,,2026-01-01,,2026-01-05T08:00:00Z
B2,corporate,9000,,,2021-01-01T00:00:00Z
""",
    "rulesets/bank/customers.rules": """
table bank/customers version 2026.11.0
  rows from "customers.csv"
  key customer
  valid "from" to "to"
  known from "loaded_at"
  column customer: text
  column segment: text
  column income: money USD optional
""",
    "rulesets/fx/ecb.csv": "date,currency,rate\n2026-03-02,USD,1.08\n2026-03-06,USD,1.25\n",
    "rulesets/fx/ecb.rules": 'rates fx/ecb version 2026.11.0 base EUR rows from "ecb.csv" no more than 7 days old',
    "rulesets/bank/checks.rules": """
ruleset bank/checks version 1.0.0
  record bank/payment ^1
  uses table bank/customers ^2026 by account
  uses table bank/customers ^2026 by payer as sender
  uses rates fx/ecb ^2026
define euros = amount in EUR
feature private_7d = sum of euros over 7 days per account where customers.segment = "private"
rule A-1 "Much for a private customer"
  when euros >= 100 EUR and customers.segment = "private"
  then score 40
  because "{euros} from a {customers.segment} customer, {private_7d} in all"
rule A-2 "More than the sender earns"
  when amount > sender.income
  then score 10
decide outcome first match
  review when score >= 40
  approve otherwise

test "the table says who the customer is"
  given account = "A1", amount = 200 USD, booked_at = 2026-03-06 09:00
  expect A-1 hit, euros = 160 EUR, private_7d = 160 EUR
test "what is not known yet is not there"
  given account = "A1", amount = 200 USD, booked_at = 2026-01-03 09:00
  expect A-1 undecided, customers.segment missing
story "a test may say in place of the table what it says" history complete
  | booked_at        | account | customers.segment | amount  | => A-1    | private_7d |
  | 2026-03-06 09:00 | "X"     | "private"         | 200 USD | hit       | 160 EUR    |
  | 2026-03-06 10:00 | "X"     | "retail"          | 200 USD | clear     | 160 EUR    |
  | 2026-03-06 11:00 | "X"     |                   | 200 USD | undecided |            |
""",
    "cascades/checks.yaml": """
cascade: bank/checks
version: 1.0.0
record: bank/payment@^1
steps:
  checks: {rules: bank/checks@^1}
decision: checks
""",
}
EVENTS = [
    {"id": "1", "booked_at": "2026-03-03T09:00:00Z", "account": "A1", "payer": "B2", "amount": "100.00"},
    {"id": "2", "booked_at": "2026-03-06T09:00:00Z", "account": "A1", "payer": "A1", "amount": "200.00"},
    {"id": "3", "booked_at": "2026-03-06T10:00:00Z", "account": "B2", "payer": "B2", "amount": "20000.00"},
    {"id": "4", "booked_at": "2026-03-20T10:00:00Z", "account": "ZZ", "payer": None, "amount": "20000.00"},
]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text.lstrip("\n"), encoding="utf-8")
    return tmp_path


def engine(workspace: Path) -> Engine:
    return Engine.load(workspace / "cascades/checks.yaml")


# --- which row, which rate -------------------------------------------------------------------------------------------


def random_table(random: Random) -> ReferenceTable | None:
    rows = range(random.randrange(1, 12))
    keys = [random.choice("AB") for _ in rows]
    spans = [sorted(random.sample(range(20), 2)) for _ in rows]
    start = [random.choice((None, a)) for a, _ in spans]
    end = [random.choice((None, b)) for _, b in spans]
    valid = random.choice(
        (None, Bounds("date", start, end), Bounds("datetime", *([None if b is None else b * DAY for b in s] for s in (start, end))))
    )
    known = random.choice(
        (None, Bounds("date", [random.randrange(20) for _ in rows]), Bounds("datetime", [random.randrange(20) * DAY + 1 for _ in rows]))
    )
    table = ReferenceTable("t/t", "1.0.0", ("k",), keys, {"k": TableColumn("k", TEXT, keys)}, valid, known)
    return None if list(table.clashes()) else table


def by_definition(table: ReferenceTable, key: str, at: int, kind: str, zone: str) -> int:
    """The row valid at the moment among those known by then, the latest known. A day is its first moment, its last day is included."""

    def moment(bound: int, of: str) -> int:
        return start_of(bound, zone) if of == "date" else bound

    now, found = start_of(at, zone) if kind == "date" else at, []
    for row, own in enumerate(table.keys):
        start = end = known = None
        if table.valid is not None:
            start, end = table.valid.start[row], table.valid.after(row)
            start = None if start is None else moment(start, table.valid.kind)
            end = None if end is None else moment(end, table.valid.kind)
        if table.known is not None:
            known = moment(table.known.start[row] or 0, table.known.kind)
        if own == key and (start is None or start <= now) and (end is None or now < end) and (known is None or known <= now):
            found.append((0 if table.known is None else table.known.start[row], row))
    return max(found)[1] if found else NOTHING


@pytest.mark.parametrize("seed", range(40))
def test_the_row_found_is_the_one_of_the_definition(seed: int) -> None:
    random = Random(seed)
    table = random_table(random)
    if table is None:
        return
    for kind, unit in (("datetime", DAY // 2), ("date", 1)):
        zone, moments = random.choice(("UTC", "America/New_York", "Asia/Kathmandu")), [n * unit for n in range(-2, 45)]
        asked = [(key, at) for key in "ABC" for at in moments]
        wanted = [by_definition(table, key, at, kind, zone) for key, at in asked]
        assert [table.find(key, at, kind, zone) for key, at in asked] == wanted
        if table.dated:
            steps = table.steps(kind, zone)
            places = np.array([steps.keys.get(key, NOTHING) for key, _ in asked])
            assert Bisection(steps).find(places, np.array([at for _, at in asked])).tolist() == wanted


def test_rows_between_which_nobody_could_choose_are_named_and_others_are_not() -> None:
    keys, columns = ["A", "A", "B"], {"k": TableColumn("k", TEXT, ["A", "A", "B"])}

    def clashes(valid: Bounds | None = None, known: Bounds | None = None) -> list[tuple[int, int]]:
        return list(ReferenceTable("t/t", "1.0.0", ("k",), keys, columns, valid, known).clashes())

    assert clashes() == [(0, 1)]
    assert clashes(Bounds("date", [1, 5, 1], [4, None, None])) == []
    assert clashes(Bounds("date", [1, 4, 1], [4, None, None])) == [(0, 1)]
    assert clashes(Bounds("date", [None, 4, 1], [None, None, None])) == [(0, 1)]
    assert clashes(Bounds("datetime", [1, 4, 1], [4, None, None])) == []
    assert clashes(None, Bounds("date", [1, 2, 1])) == []
    assert clashes(None, Bounds("date", [1, 1, 1])) == [(0, 1)]


@pytest.mark.parametrize("seed", range(30))
def test_an_amount_is_the_exact_quotient_rounded_once(seed: int) -> None:
    random = Random(seed)
    digits = {"USD": 2, "JPY": 0, "KWD": 3, "EUR": 2}
    rates = Rates("t/fx", "1.0.0", "EUR", 6, 3, {code: ([10], [random.randrange(1, 10**12)]) for code in ("USD", "JPY", "KWD")})
    for _ in range(50):
        (source, target), scale = random.sample(list(digits), 2), random.choice((1, 10**8))
        units = random.choice((0, 1, -1, random.randrange(-(10**9), 10**9)))
        rate = {code: Fraction(rates.on(code, 10, "date", "UTC") or 0, rates.unit) for code in digits}
        exact = Fraction(units, scale * 10 ** digits[source]) / rate[source] * rate[target] * 10 ** digits[target]
        rounded = round_half_even(exact.numerator, exact.denominator)
        wanted = rounded if INT64_MIN <= rounded <= INT64_MAX else missing("overflow")
        assert rates.exchange(source, target, scale, "date", "UTC")(units, 10) == wanted
        assert rates.exchange(source, target, scale, "date", "UTC")(units, 14) is missing("currency")


# --- loading ---------------------------------------------------------------------------------------------------------


def loaded(workspace: Path, name: str = "customers") -> ReferenceTable:
    path = workspace / f"rulesets/bank/{name}.rules"
    tree, problems = parse(path.read_text(encoding="utf-8"), path.name)
    assert tree is not None, problems
    table, problems = check.check_table(tree, path.parent, workspace)
    assert table is not None, problems
    return table


def test_parquet_says_what_csv_says(workspace: Path) -> None:
    folder = workspace / "rulesets/bank"
    frame = pl.read_csv(folder / "customers.csv", infer_schema=False).with_columns(
        pl.col("income").cast(pl.Decimal(10, 2)), pl.col("from", "to").str.to_date(), pl.col("loaded_at").str.to_datetime(time_zone="UTC")
    )
    frame.write_parquet(folder / "customers.parquet")
    text = FILES["rulesets/bank/customers.rules"].replace("customers.csv", "customers.parquet")
    (folder / "other.rules").write_text(text.lstrip("\n"), encoding="utf-8")
    csv, parquet = loaded(workspace), loaded(workspace, "other")
    assert (csv.keys, csv.valid, csv.known) == (parquet.keys, parquet.valid, parquet.known)
    assert [list(column.values) for column in csv.columns.values()] == [list(column.values) for column in parquet.columns.values()]


def test_blank_lines_are_no_rows_and_shift_no_number(workspace: Path) -> None:
    path = workspace / "rulesets/bank/customers.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("A1,private", "\n\nA1,private"), encoding="utf-8")
    assert list(loaded(workspace).numbers) == [2, 5, 6]


# --- decisions -------------------------------------------------------------------------------------------------------


def test_live_and_batch_decide_alike(workspace: Path) -> None:
    made = engine(workspace)
    frame = made.decide_batch(pl.DataFrame(EVENTS), detail="names", history_from="2020-01-01T00:00:00Z")
    with made.open_store("memory:", history_from="2020-01-01T00:00:00Z") as store:
        live = [made.decide(event, store=store) for event in EVENTS]
    assert [one.outcome for one in live] == frame["outcome"].to_list() == ["approve", "review", "approve", "refer"]
    assert [one.values["checks.private_7d"] for one in live[:2]] == ["92.59 EUR", "252.59 EUR"]
    assert live[1].reasons[0].text == "160.00 EUR from a private customer, 252.59 EUR in all"
    assert live[3].missing == {"amount in EUR": "currency", "customers.segment": "no row", "payer": "absent"}


def test_an_explanation_names_the_row_and_the_rate(workspace: Path) -> None:
    lines = engine(workspace).decide(EVENTS[1]).explain().splitlines()
    row = "row 3 of customers.csv, valid from 2026-01-01, known from 2026-01-05T08:00:00Z"
    assert f"  customers by account = A1: {row} (bank/customers@2026.11.0)" in lines
    assert "  amount in EUR: 1 EUR = 1.25 USD of 2026-03-06 (fx/ecb@2026.11.0)" in lines
    nobody = engine(workspace).decide(EVENTS[3]).explain()
    assert "customers by account = ZZ: no row of customers.csv" in nobody
    assert "amount in EUR: no rate of USD" in nobody


def test_a_table_that_changed_is_another_component(workspace: Path) -> None:
    before = engine(workspace)
    with before.open_store(f"sqlite:///{workspace / 'history.db'}") as store:
        before.decide(EVENTS[0], store=store)
    path = workspace / "rulesets/bank/customers.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("private", "premium"), encoding="utf-8")
    after = engine(workspace)
    versions = [{(kind, name): digest for kind, name, _, digest in made.decide(EVENTS[0]).versions} for made in (before, after)]
    assert versions[0][("table", "bank/customers")] != versions[1][("table", "bank/customers")]
    assert versions[0][("rates", "fx/ecb")] == versions[1][("rates", "fx/ecb")]
    # history judged its rows by the table: a store made with another says nothing
    with pytest.raises(EngineError):
        after.open_store(f"sqlite:///{workspace / 'history.db'}")


def test_a_decision_is_given_again_after_the_table_has_changed(workspace: Path) -> None:
    made = Engine.load(workspace / "cascades/checks.yaml", ledger=workspace / "ledger.db")
    first = [made.decide(event).outcome for event in EVENTS]
    assert made.ledger is not None
    made.ledger.close()
    for name in ("bank/customers.csv", "fx/ecb.csv"):
        (workspace / "rulesets" / name).write_text("gone", encoding="utf-8")
    shutil.rmtree(workspace / "cascades")
    found = replay(workspace / "ledger.db")
    assert (found.count, found.same, found.fine, len(first)) == (4, 4, True, 4)


def test_a_rate_of_a_float_is_its_shortest_text(workspace: Path) -> None:
    folder = workspace / "rulesets/fx"
    pl.DataFrame({"date": ["2026-03-02"], "currency": ["USD"], "rate": [1.08]}).write_parquet(folder / "ecb.parquet")
    tree, _ = parse(FILES["rulesets/fx/ecb.rules"].replace("ecb.csv", "ecb.parquet"), "ecb.rules")
    assert tree is not None
    rates, problems = check.check_rates(tree, folder, workspace)
    assert rates is not None, problems
    assert (rates.decimals, rates.on("USD", 20_514, "date", "UTC")) == (2, int(Decimal("1.08").scaleb(2)))
