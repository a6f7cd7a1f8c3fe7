"""Counts of a run: what goes in comes out, for any record, in one chunk or many."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest

from engine.api import Engine
from engine.errors import EngineError
from engine.lang import ir
from engine.monitor import charts, columnar
from engine.monitor.report import months_between, notable, page, write_report
from engine.monitor.summary import Summary, needs
from engine.record import Field, Record
from engine.values import CAUSES, DATE, DATETIME, INTEGER, TEXT

ABSENT, DAMAGED, SHORT = (1 + CAUSES.index(cause) for cause in ("absent", "damaged", "short history"))
DAY = 16_191  # 2014-05-01


def record(key: tuple[str, ...] = ("file", "row"), time=DATE, zone: str = "Europe/London") -> Record:
    fields = (Field("file", TEXT), Field("row", INTEGER), Field("at", time), Field("town", TEXT), Field("colour", TEXT))
    return Record("a/thing", "1.2.3", zone, key, "at", fields)


def typed() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "file": ["a.csv.gz", "a.csv.gz", "b.csv.gz", "b.csv.gz"],
            "row": [1, 2, 1, 2],
            "at": [DAY, DAY + 31, DAY + 31, DAY + 31],
            "town": ["x", "y", None, None],
            "town#": pl.Series([0, 0, ABSENT, ABSENT], dtype=pl.UInt8),
            "colour": ["red", None, "red", None],
            "colour#": pl.Series([0, DAMAGED, 0, ABSENT], dtype=pl.UInt8),
            "seen.uses": [1, 1, 3, 3],
            "seen.uses#": pl.Series([0, 0, SHORT, SHORT], dtype=pl.UInt8),
        }
    )


def decisions() -> pl.DataFrame:
    lists = pl.List(pl.String)
    return pl.DataFrame(
        {
            "file": typed()["file"],
            "row": typed()["row"],
            "time": typed()["at"],
            "outcome": ["stop", "go", "go", "ask"],
            "possible": [["stop"], ["go"], ["go"], ["ask", "go"]],
            "robust": [True, True, True, False],
            "hits": pl.Series([["A-1", "B-1"], ["A-1"], [], []], dtype=lists),
            "undecided": pl.Series([[], [], ["B-1"], ["B-1", "C-1"]], dtype=lists),
            "flags": pl.Series([["big"], [], [], []], dtype=lists),
        }
    )


def summary(**given) -> Summary:
    made = Summary(record(), "a/screening 1.0.0", rules={"A-1": "First", "D-1": "Silent"}, reads={"B-1": ("town", "seen.uses")}, **given)
    made.rows = 5
    made.add(typed(), decisions())
    made.reject(["no time"])
    return made


def test_every_row_is_counted_once() -> None:
    made = summary()
    assert (made.decided, made.rejected, made.balanced) == (4, 1, True)
    made.rows = 6
    assert not made.balanced
    assert "rows were lost" in made.text()


def test_reasons_are_counted_without_the_values_they_quote() -> None:
    made = summary()
    made.reject(f"time `at` cannot be read as date (like `2026-03-31`): `{n}: x`" for n in range(1_000))
    assert made.rejects == {"no time": 1, "time `at` cannot be read as date (like `2026-03-31`)": 1_000}


def test_outcomes_go_by_the_month_of_the_event_and_the_order_given() -> None:
    made = summary(order=("stop", "ask", "go"))
    assert made.months == {("2014-05", "stop"): 1, ("2014-06", "go"): 2, ("2014-06", "ask"): 1}
    assert made.outcomes() == [("stop", 1), ("ask", 1), ("go", 2)]
    assert next(outcome for outcome, _ in summary().outcomes()) == "go"  # without an order, the commonest first


def test_chunks_add_up_to_the_whole() -> None:
    whole, parts = summary(), Summary(record(), "a/screening 1.0.0", reads={"B-1": ("town", "seen.uses")})
    for start in (0, 1, 3):
        stop = {0: 1, 1: 3, 3: 4}[start]
        parts.add(typed()[start:stop], decisions()[start:stop])
    for name in ("decided", "robust", "months", "hits", "open", "flags", "possible", "fields", "lacks"):
        assert getattr(parts, name) == getattr(whole, name), name


def test_an_empty_chunk_changes_nothing() -> None:
    made = summary()
    before = made.text()
    made.add(typed()[:0], decisions()[:0])
    assert made.text() == before


def test_rows_and_decisions_must_match() -> None:
    with pytest.raises(ValueError, match="3 rows cannot have 4 decisions"):
        summary().add(typed()[:3], decisions())


def test_hits_and_undecided_rules_with_what_they_lacked() -> None:
    made = summary()
    assert made.hits == {"A-1": 2, "B-1": 1}
    assert made.undecided == {"B-1": 2, "C-1": 1}
    assert made.why("B-1") == [("seen.uses", "short history", 2), ("town", "absent", 2)]
    assert made.why("C-1") == []
    assert made.possible == {("ask", "go"): 1}


def test_fields_are_grouped_by_file_where_the_key_names_one() -> None:
    counts = summary().fields
    assert counts["a.csv.gz", "town", "present"] == 2
    assert counts["b.csv.gz", "town", "absent"] == 2
    assert counts["a.csv.gz", "colour", "damaged"] == 1
    assert notable(summary()) == [
        "`town` is missing in every row of b.",
        "`colour` could not be read in 1 row (a).",
    ]


def test_fields_are_grouped_by_month_elsewhere() -> None:
    counts = columnar.fields(typed(), decisions(), record(key=("row",)))
    assert {group for group, _, _ in counts} == {"2014-05", "2014-06"}


def test_null_without_a_cause_is_absent() -> None:
    bare = typed().drop("town#")
    assert columnar.fields(bare, decisions(), record())["b.csv.gz", "town", "absent"] == 2


def test_the_month_of_a_datetime_is_the_one_in_the_record_s_zone() -> None:
    last_hour = 1_404_169_200_000_000  # 2014-06-30T23:00:00Z, which is July in London
    frame = pl.DataFrame({"time": [last_hour], "outcome": ["go"]})
    assert columnar.outcomes(frame, record(time=DATETIME)) == {("2014-07", "go"): 1}
    assert columnar.outcomes(frame, record(time=DATETIME, zone="UTC")) == {("2014-06", "go"): 1}
    dated = frame.with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")))
    assert columnar.outcomes(dated, record(time=DATETIME)) == {("2014-07", "go"): 1}


def test_the_text_tells_rows_outcomes_rules_and_causes() -> None:
    made = summary(seconds=2.0)
    text = made.text()
    for part in ("5  rows in", "4  decided", "1  no time", "2  A-1              First", "town absent (2)", "2  rows a second", "75.00%"):
        assert part in text, part


def test_a_run_without_rows_still_has_a_text_and_a_page() -> None:
    empty = Summary(record(), "a/screening 1.0.0")
    assert "0  rows in" in empty.text()
    assert "No rule was undecided." in page(empty)


def test_needs_reach_through_defines_but_not_into_what_rules_make() -> None:
    use = ir.Use("record", "a/thing", None, "thing")
    big = ir.Define("big", ir.Compare(">", ir.Read("amount", type=INTEGER), ir.Read("seen.uses", type=INTEGER)))
    first = ir.Rule("A-1", "First", ir.And((ir.Read("big"), ir.Not(ir.Read("town")))))
    second = ir.Rule("B-1", "Second", ir.Or((ir.Read(ir.hit("A-1")), ir.Read("late"))))
    body = (big, first, second)
    rules = ir.RuleSet("a/rules", "1.0.0", None, None, (), use, (), (), (), None, body, None)
    assert needs(rules) == {"A-1": ("amount", "seen.uses", "town"), "B-1": ("late",)}


def test_months_have_no_gaps() -> None:
    assert months_between("2014-11", "2015-02") == ["2014-11", "2014-12", "2015-01", "2015-02"]


def test_the_page_is_whole_and_asks_nobody(tmp_path: Path) -> None:
    made = summary(licence="Contains <public> information.")
    path = tmp_path / "report.html"
    write_report(made, path)
    text = path.read_text(encoding="utf-8")
    assert text.count("<svg") == 5
    assert "<script" not in text
    assert not [word for word in ("src=", "href=", "@import", "url(http") if word in text.replace('xlink:href="#', "")]
    assert "Contains &lt;public&gt; information." in text
    assert "Never hit: <code>D-1</code> Silent." in text


def test_the_page_counts_what_exceptions_silenced() -> None:
    made = summary()
    assert "exceptions silenced" not in page(made)
    made.silenced.update({"A-1 by A-1-E1": 3})
    assert '<td class="id">A-1 by A-1-E1</td><td class="n">3</td>' in page(made)


def test_names_from_data_cannot_break_the_page() -> None:
    made = summary()
    made.reject(["<b>bold</b>"])
    made.open["2014-05", "<i>X</i>"] = 1
    made.hits["<script>X</script>"] = 1
    text = page(made)
    assert "<b>bold" not in text
    assert "<i>X" not in text
    assert "<script" not in text


def test_shares_never_round_to_nothing_or_all() -> None:
    made = summary()
    made.decided, made.robust = 1_000_000, 999_999
    assert "&gt; 99.9%" in page(made)


@pytest.mark.parametrize("library", ["altair", "jinja2", "vl_convert"])
def test_a_missing_library_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(EngineError, match="kaskade\\[report\\]"):
        page(summary())


def test_the_mildest_outcome_is_the_palest() -> None:
    assert charts.palette(["stop", "ask", "go"])["go"] == charts.GRAVE_TO_MILD[-1]
    assert charts.palette(["only"]) == {"only": charts.GRAVE_TO_MILD[0]}
    assert len(set(charts.palette(["a", "b", "c", "d", "e"]).values())) == 5


def test_a_summary_of_a_cascade_knows_its_rules_and_its_outcomes_in_order() -> None:
    cascade = Path(__file__).resolve().parents[2] / "examples" / "purchase_cards" / "cascades" / "training.yaml"
    made = Summary.of(Engine.load(cascade).linked, licence="Licence.")
    assert (made.title, made.order, made.licence) == ("council/training 1.0.0", ("train", "leave"), "Licence.")
    assert made.record.name == "council/purchase"


def test_a_reason_is_counted_whatever_key_it_names() -> None:
    summary = Summary(record(), "a/thing 1.0.0")
    there = "an event with `file` = '{}', `row` = 1 was there before with a higher revision: `version` is {}, it was 2"
    summary.reject([there.format("a", 1), there.format("b: with `c`", 0), "time `at` is missing"])
    assert summary.rejects == {"an event was there before with a higher revision": 2, "time `at` is missing": 1}
