"""The model of the AMLSim example: trained anew it has the same bytes, it sees no future, and the page says what it finds."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from engine import Engine, replay

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "aml"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
READ_OFF = ("outcome", "possible", "score", "score_low", "score_high", "flags", "hits", "undecided", "first_steps.probability")


@pytest.fixture(scope="module")
def scripts() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module("train_model"), importlib.import_module("evaluate")


@pytest.fixture(scope="module")
def rows(scripts: tuple[ModuleType, ModuleType]) -> pl.DataFrame:
    """All transfers, decided by the cascade."""
    found: pl.DataFrame = scripts[1].decided()
    return found


@pytest.fixture(scope="module")
def months(scripts: tuple[ModuleType, ModuleType], rows: pl.DataFrame) -> pl.DataFrame:
    """The payers of the months after the gap."""
    found: pl.DataFrame = scripts[1].payers(scripts[1].scored(rows))
    return found


def test_trained_anew_the_package_has_the_same_bytes(scripts: tuple[ModuleType, ModuleType], rows: pl.DataFrame, tmp_path: Path) -> None:
    train, evaluate = scripts
    made = train.package(train.training(rows), tmp_path)
    names = {path.name for path in evaluate.PACKAGE.iterdir()}
    assert {path.name for path in made.iterdir()} == names == {"model.yaml", "model.txt", "golden.parquet", "reference.json"}
    for name in names - {"model.yaml"}:
        assert (made / name).read_bytes() == (evaluate.PACKAGE / name).read_bytes(), name
    assert training_facts(made) == training_facts(evaluate.PACKAGE)


def training_facts(package: Path) -> str:
    """The manifest without the machine it was made on."""
    return (package / "model.yaml").read_text(encoding="utf-8").split("environment:")[0]


def test_training_ends_before_the_gap_and_knows_no_later_label(
    scripts: tuple[ModuleType, ModuleType], rows: pl.DataFrame, months: pl.DataFrame
) -> None:
    train, evaluate = scripts
    taught = train.training(rows)
    assert taught["time"].max() == train.TRAIN_TO and (evaluate.TEST_FROM - train.TRAIN_TO).days == train.GAP + 1
    assert taught.filter("first").height == 355 and sorted(months["month"].unique()) == ["2017-04", "2017-05"]
    begun = train.begun(rows)["day"]
    after = rows.filter((begun > train.TRAIN_TO).fill_null(False))["payer"].unique()
    assert not taught.filter(pl.col("payer").is_in(after.implode()))["first"].any()


def test_the_page_says_what_the_scripts_find(scripts: tuple[ModuleType, ModuleType], rows: pl.DataFrame, months: pl.DataFrame) -> None:
    evaluate = scripts[1]
    for table in evaluate.told(rows, months):
        assert table in README
    assert set(evaluate.ACCUSED) == set(Engine.load(FOLDER / "cascades" / "typologies.yaml").rule_ids)
    assert months.group_by("month").agg(pl.col("begins").sum()).sort("month")["begins"].to_list() == [127, 144]
    asked = (rows["rules.gathering.score"] + rows["rules.movement.score"] >= 20).mean()
    assert isinstance(asked, float) and 6.5 < 1 / asked < 7.5


def test_the_report_is_one_page_that_asks_nobody(scripts: tuple[ModuleType, ModuleType], rows: pl.DataFrame, months: pl.DataFrame) -> None:
    page = scripts[1].report(rows, months)
    assert page.count("<svg") == 4 and "${" not in page
    assert not [word for word in ("<script", "src=", "@import", 'href="http') if word in page]


def test_live_the_cascade_decides_as_in_a_batch_and_every_decision_is_given_again(
    scripts: tuple[ModuleType, ModuleType], tmp_path: Path
) -> None:
    """What was paid to three busy accounts, so that the model is asked."""
    every = scripts[0].transfers()
    busy = every["targetNodeId"].value_counts(sort=True)["targetNodeId"].head(3)
    events = every.filter(pl.col("targetNodeId").is_in(busy.implode())).head(500)
    engine = Engine.load(FOLDER / "cascades" / "triage.yaml", ledger=tmp_path / "ledger.db")
    batch = engine.decide_batch(events, detail="names", values=True, history_from="2016-01-01")
    with engine.open_store("memory:", history_from="2016-01-01") as store:
        live = [engine.decide(event, store=store) for event in events.iter_rows(named=True)]
    assert [read_off(one) for one in live] == [tuple(row) for row in batch.select(READ_OFF).iter_rows()]
    assert len({one.values["first_steps.probability"] for one in live}) > 1
    again = replay(tmp_path / "ledger.db")
    assert again.fine and again.count == len(live)


def read_off(one: Any) -> tuple[Any, ...]:
    chance = one.values["first_steps.probability"]
    return (one.outcome, list(one.possible), one.score, *one.score_range, list(one.flags), list(one.hits), list(one.undecided), chance)
