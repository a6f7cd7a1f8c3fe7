"""Two pipelines over two records share a rule set and a feature set, each at its own pinned version, in one process."""

from __future__ import annotations

import os
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import polars as pl
import pytest

from engine import Engine
from engine.cascade.components import Components
from engine.cli.main import main
from engine.locking import make_lock
from engine.publish import publish
from engine.registry.published import Registry
from engine.registry.store import Workspace
from engine.testkit.runner import run_tests
from engine.testkit.sources import check, find, formatted

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDER = EXAMPLES / "reuse"
SHARED = ("shared/activity", "shared/structuring")


def purchases() -> pl.DataFrame:
    """The cards' payments of April and May 2014 as `engine run` reads them, file by file."""
    columns = ("file", "row", "TRANS DATE", "ORIGINAL GROSS AMT", "MERCHANT NAME", "CARD NUMBER")
    paths = sorted((EXAMPLES / "purchase_cards").glob("2014-0[45].csv.gz"))
    frames = [pl.read_csv(path, infer_schema=False).with_row_index("row", 1).with_columns(file=pl.lit(path.name)) for path in paths]
    return pl.concat(frame.select(columns) for frame in frames)


def transfers() -> pl.DataFrame:
    return pl.read_csv(EXAMPLES / "aml/transfers.csv.gz", infer_schema=False).filter(pl.col("day") < "2017-03-01")


@pytest.fixture(scope="module")
def engines() -> tuple[Engine, Engine]:
    """Both pipelines, each by its lock, side by side."""
    return Engine.load(FOLDER / "cascades/cards.lock"), Engine.load(FOLDER / "cascades/transfers.lock")


def versions(engine: Engine) -> dict[str, str]:
    return {name: version for _, name, version, _ in engine.versions if name in SHARED}


def test_two_versions_live_at_once(engines: tuple[Engine, Engine]) -> None:
    cards, transfer = engines
    assert versions(cards) == dict.fromkeys(SHARED, "1.0.0") and versions(transfer) == dict.fromkeys(SHARED, "1.1.0")
    assert cards.record.name == "cards/purchase" and transfer.record.name == "transfers/transfer"
    assert cards.rule_ids == ("SPLIT-01", "VELOCITY-01") and transfer.rule_ids == ("SPLIT-01", "VELOCITY-01", "SPREAD-01")
    with cards.open_store(history_from="2026-01-01") as one, transfer.open_store(history_from="2026-01-01") as other:
        for number in (1, 2):  # in turn, so that neither forgets which version it is
            bought = {"file": "a", "row": number, "TRANS DATE": "2026-03-02", "ORIGINAL GROSS AMT": "300.00"}
            first = cards.decide({**bought, "MERCHANT NAME": "x", "CARD NUMBER": "1"}, store=one)
            sent = {"id": number, "day": "2026-03-02", "sourceNodeId": "1", "targetNodeId": "x", "value": "3.00"}
            second = transfer.decide(sent, store=other)
    assert [found.hits for found in (first, second)] == [("SPLIT-01",), ("SPLIT-01",)]
    assert "2 payments to x today come to 600.00 GBP, none of them 500.00 GBP" in first.explain()
    assert "2 payments to x today come to 6.00 GBP, none of them 5.00 GBP" in second.explain()
    assert first.lock == cards.lock != transfer.lock == second.lock


def test_both_decide_real_payments_as_a_naive_count_does(engines: tuple[Engine, Engine]) -> None:
    cards, transfer = engines
    bought = purchases()
    columns = ("CARD NUMBER", "MERCHANT NAME", "TRANS DATE", "ORIGINAL GROSS AMT")
    hits = decided(cards, bought, "2014-04-01")
    assert hits["SPLIT-01"] == splits(bought, *columns, 500) > 30 and not hits["SPREAD-01"]
    sent = transfers()
    hits = decided(transfer, sent, "2017-01-01")
    assert (
        hits["SPLIT-01"] == splits(sent, "sourceNodeId", "targetNodeId", "day", "value", 5) > 100
        and hits["SPREAD-01"]
        and hits["VELOCITY-01"]
    )


def decided(engine: Engine, frame: pl.DataFrame, since: str) -> Counter[str]:
    found = engine.decide_batch(frame, detail="names", history_from=since)
    assert found.height == frame.height and not found.rejects.height
    return Counter(found["hits"].explode().drop_nulls().to_list())


def splits(frame: pl.DataFrame, party: str, counterparty: str, day: str, amount: str, limit: int) -> int:
    """How often a part reaches the limit that no part reaches alone, counted by hand, in pence. The day's order is that of the rows."""
    seen: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    found = 0
    for row in frame.iter_rows(named=True):
        pence = round(float(row[amount].replace(",", "")) * 100)
        parts = seen[row[party], row[counterparty], row[day]]
        parts.append(pence)
        bought = [part for part in parts if part > 0]
        found += pence > 0 and len(bought) >= 2 and max(parts) < limit * 100 <= sum(bought)
    return found


def test_uses_and_impact_show_both(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(FOLDER)
    assert main(["uses", "shared/activity"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "  cascades/cards.lock      cards/screening@1.0.0      holds 1.0.0" in said
    assert "  cascades/transfers.lock  transfers/screening@1.0.0  holds 1.1.0" in said
    assert said[-1] == "2 locks, 3 in the working tree, 4 published"
    assert main(["impact", "shared/structuring@1.1.0"]) == 0
    said = capsys.readouterr().out
    assert "minor  the rule `SPREAD-01` is new" in said and "cascades/transfers.lock has it already" in said
    assert "could move from 1.0.0\n  with it shared/activity@1.0.0 -> shared/activity@1.1.0" in said


def test_everything_checks_and_is_tested() -> None:
    assert check(FOLDER) == []
    for found in find([FOLDER / "rulesets"]):
        text = found.path.read_text(encoding="utf-8")
        assert formatted(text) == text
        tested = run_tests(Components(found.workspace), found)
        assert tested is None or (not tested.failures and not tested.untested)


def test_the_registry_and_the_locks_are_what_this_engine_makes(tmp_path: Path) -> None:
    """`RESET=1` writes them anew, where what an engine publishes has changed."""
    again(tmp_path)
    made, there = contents(tmp_path), contents(FOLDER)
    if os.environ.get("RESET"):
        shutil.rmtree(FOLDER / "registry")
        shutil.copytree(tmp_path / "registry", FOLDER / "registry", ignore=shutil.ignore_patterns(".lock"))
        for path in (tmp_path / "cascades").glob("*.lock"):
            shutil.copyfile(path, FOLDER / "cascades" / path.name)
        there = contents(FOLDER)
    assert made.keys() == there.keys()
    assert [name for name in made if made[name] != there[name]] == []


def again(folder: Path) -> None:
    """How it came to be: all is published and the cards are locked; two components get a version more; the transfers are locked."""
    for name in ("rulesets", "cascades"):
        shutil.copytree(FOLDER / name, folder / name, ignore=shutil.ignore_patterns("*.lock"))
    workspace, registry, before = Workspace(folder), Registry(folder / "registry"), Registry(FOLDER / "registry")
    for name in SHARED:
        for path, data in before.files(before.get(name, "1.0.0")).items():
            (folder / path).write_bytes(data)
    publish(workspace, registry, None)
    lock(folder, registry, "cards")
    shutil.copytree(FOLDER / "rulesets", folder / "rulesets", dirs_exist_ok=True)
    assert [str(step.component) for step in publish(workspace, registry, None)] == [f"{name}@1.1.0" for name in SHARED]
    lock(folder, registry, "transfers")


def lock(folder: Path, registry: Registry, name: str) -> None:
    made = make_lock(folder / "cascades" / f"{name}.yaml", registry)
    (folder / "cascades" / f"{name}.lock").write_text(made.text(), encoding="utf-8")


def contents(folder: Path) -> dict[str, bytes]:
    paths = [*(folder / "registry").rglob("*"), *(folder / "cascades").glob("*.lock")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths if path.is_file() and path.name != ".lock"}
