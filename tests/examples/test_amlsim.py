"""The bundled AMLSim example: its data are whole, its rules pass their own tests, and its page says what is so."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
from pathlib import Path

import pytest

from engine.cascade.components import Components
from engine.testkit.runner import run_tests
from engine.testkit.sources import check, find, formatted

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "aml"
RULES = find([FOLDER / "rulesets"])


def rows(name: str) -> list[dict[str, str]]:
    with gzip.open(FOLDER / name, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_transfers_are_whole_and_days_are_steps() -> None:
    transfers, first = rows("transfers.csv.gz"), dt.date(2017, 1, 1)
    assert [row["id"] for row in transfers] == [str(number) for number in range(1, 118_251)]
    assert all(dt.date.fromisoformat(row["day"]) - first == dt.timedelta(int(row["time"])) for row in transfers)
    assert (transfers[0]["day"], transfers[-1]["day"]) == ("2017-01-02", "2017-05-30")


def test_the_labels_are_whole_and_the_page_says_what_the_amounts_give_away() -> None:
    labelled = {row["nodeid"] for row in rows("accounts.csv.gz") if row["isFraud"] == "1"}
    small = [row for row in rows("transfers.csv.gz") if float(row["value"]) < 100]
    assert len(labelled) == 954 and max(float(row["value"]) for row in small) < 5
    traced = {row[role] for row in small for role in ("sourceNodeId", "targetNodeId")}
    assert traced < labelled and len(labelled - traced) == 295 and f"{len(traced) / len(labelled):.2f}" == "0.69"


def test_everything_checks_without_a_single_remark() -> None:
    assert check(FOLDER) == []


@pytest.mark.parametrize("found", RULES, ids=lambda found: found.path.stem)
def test_every_file_has_the_usual_look_and_passes_its_own_tests(found) -> None:
    text = found.path.read_text(encoding="utf-8")
    assert formatted(text) == text
    tested = run_tests(Components(found.workspace), found)
    if tested is not None:
        assert [str(failure) for failure in tested.failures] == [] and tested.cases > 0


def test_every_rule_is_tested_hit_clear_and_undecided() -> None:
    for found in RULES:
        tested = run_tests(Components(found.workspace), found)
        assert tested is None or not tested.untested, (found.path.stem, tested.untested)
