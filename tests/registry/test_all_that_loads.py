"""What is published holds every file that loading touches, byte for byte, and a hash that no byte of these can change unseen."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Engine
from engine.errors import EngineError
from engine.locking import make_lock
from engine.models.packing import package_model
from engine.publish import publish
from engine.registry.published import Registry
from engine.registry.store import Workspace

FILES = {
    "rulesets/bank/payment.rules": """record bank/payment version 1.0.0
  zone "UTC"
  key id
  time at
  field id: text
  field at: datetime
  field account: text
  field amount: money EUR
""",
    "rulesets/bank/watched.rules": """list bank/watched version 1.0.0
from "data/watched.csv" column "account" effective from 2010-01-01 to 2020-12-31,
from "data/more.csv" column "account" effective from 2021-01-01
""",
    "rulesets/bank/data/watched.csv": "account\nA1\nA2\n",
    "rulesets/bank/data/more.csv": "account\nA3\n",
    "rulesets/bank/customers.rules": """table bank/customers version 1.0.0
  rows from "data/customers.parquet"
  key account
  column account: text
  column segment: text
""",
    "rulesets/bank/peers.rules": """table bank/peers version 1.0.0
  rows from "../shared/peers.csv"
  key segment
  column segment: text
  column usual: integer
""",
    "rulesets/shared/peers.csv": "segment,usual\nretail,3\n",
    "rulesets/bank/rates.rules": 'rates bank/rates version 1.0.0\n  rows from "data/rates.csv"\n  base EUR\n  no more than 7 days old\n',
    "rulesets/bank/data/rates.csv": "date,currency,rate\n2026-03-01,USD,1.1\n",
    "rulesets/bank/sums.rules": """features bank/sums version 1.0.0
  record bank/payment ^1
feature paid = sum of amount over 7 days per account
""",
    "rulesets/bank/often.rules": """templates bank/often version 1.0.0
template much (limit: money EUR)
  rule "Much"
    when amount > limit
    then score 5
""",
    "rulesets/bank/checks.rules": """ruleset bank/checks version 1.0.0
  record bank/payment ^1
  uses features bank/sums ^1
  uses list bank/watched ^1
  uses table bank/customers ^1 by account
  uses table bank/peers ^1 by customers.segment
  uses rates bank/rates ^1
  uses templates bank/often ^1
  on missing ignore
list quiet from "data/quiet.csv" column "account"
table tiers from "data/tiers.xlsx"
table steps from "data/steps.csv" separated by ";"
rule LIST-01 "Watched"
  when account in bank.watched and not (account in quiet)
  then score 40
rule SEG-01 "Retail"
  when customers.segment = "retail" and amount in USD > 10 USD and sums.paid > 100 EUR and peers.usual > 2
  then score 1
rule MUCH-01 is often.much with limit = 500 EUR
input risk: number optional
rule RISK-01 "Risky"
  when risk > 0.5
  then score 1
decide outcome first match
  review when score >= 40 or tier = "high" or step > 2
  pass otherwise
""",
    "rulesets/bank/data/quiet.csv": "account\nA9\n",
    "rulesets/bank/data/steps.csv": "amount;=> step\n< 100 EUR;1\notherwise;2\n",
    "cascades/bank/all.yaml": """cascade: bank/all
version: 1.0.0
record: bank/payment@^1
steps:
  risk: {model: bank/risk@^1, with: {age: checks_amount.score}}
  checks_amount: {rules: bank/first@^1}
  checks: {rules: bank/checks@^1, with: {risk: risk.probability}}
decision: checks
""",
    "rulesets/bank/first.rules": """ruleset bank/first version 1.0.0
  record bank/payment ^1
rule FIRST-01 "Some"
  when amount > 10 EUR
  then score 3
""",
    "deployment.yaml": "allow: []\n",
}
EVENT = {"id": "P1", "at": "2026-03-02T09:00:00Z", "account": "A3", "amount": "700.00"}


def written(folder: Path) -> Path:
    """A workspace in which every kind of file stands somewhere."""
    pytest.importorskip("lightgbm")
    import lightgbm
    import openpyxl
    import polars as pl

    for place, text in FILES.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text, encoding="utf-8")
    pl.DataFrame({"account": ["A1", "A3"], "segment": ["retail", "trade"]}).write_parquet(folder / "rulesets/bank/data/customers.parquet")
    book = openpyxl.Workbook()
    for row in (["amount", "=> tier"], ["< 100 EUR", '"low"'], ["otherwise", '"high"']):
        book.active.append(row)
    book.active["B1"].data_type = "s"  # what begins with `=` is a text here
    book.save(folder / "rulesets/bank/data/tiers.xlsx")
    sample = pl.DataFrame({"age": [float(n % 9) for n in range(120)]})
    data = lightgbm.Dataset(sample.to_numpy(), [n % 9 > 4 for n in range(120)], feature_name=["age"])
    fitted = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, 2)
    package_model(fitted, name="bank/risk", version="1.0.0", sample=sample, folder=folder, outputs=["probability"])
    return folder


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("bank")).resolve()


def test_what_loads_is_published_and_is_all_that_a_lock_needs(bank: Path, tmp_path: Path) -> None:
    there = Engine.load(bank / "cascades/bank/all.yaml")
    registry = Registry(tmp_path / "registry")
    publish(Workspace(bank), registry, None)
    kept = {place: data for one in registry.all() for place, data in registry.files(one).items()}
    used = {path.relative_to(bank).as_posix() for path in there.workspace.used} - {"deployment.yaml"}
    assert used <= kept.keys() and {"golden.parquet", "reference.json"} <= {Path(place).name for place in kept}
    assert kept == {place: (bank / place).read_bytes() for place in kept}
    assert kept.keys() == {path.relative_to(bank).as_posix() for path in bank.rglob("*") if path.is_file()} - {"deployment.yaml"}
    lock = tmp_path / "all.lock"
    lock.write_text(make_lock(bank / "cascades/bank/all.yaml", registry).text())
    assert Engine.load(lock, registry=tmp_path / "registry").decide(EVENT).outcome == there.decide(EVENT).outcome == "review"


@cache
def hashes(folder: Path) -> dict[str, str]:
    """The hash of every component, by kind and name."""
    linked = Engine.load(folder / "cascades/bank/all.yaml").versions
    return {f"{kind} {name}": digest for kind, name, _, digest in linked}


PLACES = sorted({*FILES, "rulesets/bank/data/customers.parquet", "rulesets/bank/data/tiers.xlsx"} - {"deployment.yaml"})
PLACES += [f"models/bank/risk/1.0.0/{name}" for name in ("model.yaml", "model.txt", "golden.parquet", "reference.json")]


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(PLACES), st.data())
def test_no_byte_changes_unseen(bank: Path, place: str, data: st.DataObject) -> None:
    path = bank / place
    before, wanted = path.read_bytes(), hashes(bank)
    where, flipped = data.draw(st.integers(0, len(before) - 1)), data.draw(st.integers(1, 255))
    try:
        path.write_bytes(before[:where] + bytes([before[where] ^ flipped]) + before[where + 1 :])
        try:
            now = hashes.__wrapped__(bank)
        except EngineError:
            return  # it is refused, which is seen
        assert now != wanted, f"byte {where} of {place} xor {flipped}"
    finally:
        path.write_bytes(before)


def test_every_file_that_is_taken_away_is_missed(bank: Path, tmp_path: Path) -> None:
    for place in PLACES:
        folder = tmp_path / place.replace("/", "-")
        shutil.copytree(bank, folder)
        (folder / place).unlink()
        with pytest.raises((EngineError, FileNotFoundError)):
            Engine.load(folder / "cascades/bank/all.yaml")
