"""Every command: what it prints, its JSON, its exit code; and that no mistake of a user shows a traceback."""

from __future__ import annotations

import csv
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from engine.cli.main import COMMANDS, main
from engine.ledger.log import Ledger
from engine.version import LANGUAGE_VERSION, VERSION

ROOT = Path(__file__).parents[2]
CASCADE = "cascades/screening.yaml"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_teaches(engine, name):
    result = engine(name, "--help")
    assert result.code == 0
    examples = re.findall(rf"^  .*engine {name}\b", result.out, re.MULTILINE)
    assert len(examples) >= 2 or name == "new"
    assert "exit codes:\n  0  all is well" in result.out and "--json" in result.out
    assert max(map(len, result.out.splitlines())) <= 140


def test_the_version_names_package_and_language(engine):
    result = engine("--version")
    assert (result.code, result.out.strip()) == (0, f"kaskade {VERSION}, language {LANGUAGE_VERSION}")


@pytest.mark.parametrize("args", [[], ["dcide"], ["decide"], ["graph", "x", "--format", "png"], ["check", "--nonsense"]])
def test_wrong_use_is_told(engine, args):
    result = engine(*args)
    assert result.code == 2 and "usage: engine" in result.err


# --- new --------------------------------------------------------------------------------------------------------------


def test_new_makes_a_workspace_that_runs(engine, payments):
    assert engine("check").code == 0
    tested = engine("test")
    assert tested.code == 0 and "all met" in tested.out and "note:" not in tested.out
    assert engine("fmt", "--check", ".").code == 0
    assert engine("decide", CASCADE, "event.json").code == 0


def test_new_overwrites_nothing(engine, payments):
    (payments / "README.md").write_text("mine")
    result = engine("new", ".")
    assert result.code == 2 and "is there already" in result.err
    assert (payments / "README.md").read_text() == "mine"


def test_new_takes_an_empty_folder(engine, tmp_path):
    result = engine("new", tmp_path, "--json")
    assert result.code == 0 and "cascades/screening.yaml" in result.json["files"]


# --- check ------------------------------------------------------------------------------------------------------------


def test_check_lists_all_problems_at_once(engine, payments):
    rules = payments / "rulesets/shop/checks.rules"
    rules.write_text(rules.read_text().replace("amount >= large", "amoutn >= large").replace("country not in", "contry not in"))
    result = engine("check")
    assert result.code == 1
    assert "rulesets/shop/checks.rules:15:8: error[unknown-name]" in result.out
    assert "did you mean `amount`?" in result.out and "did you mean `country`?" in result.out
    assert result.out.endswith("4 files: 2 errors\n")
    found = engine("check", "--json").json
    assert [one["code"] for one in found["diagnostics"]] == ["unknown-name", "unknown-name"]
    assert found["diagnostics"][0]["file"] == "rulesets/shop/checks.rules"


def test_check_says_which_exceptions_have_ended_and_by_which_day(engine, payments):
    rules = payments / "rulesets/shop/checks.rules"
    ended = 'exception LARGE-01-E1 "Moving house" for LARGE-01\n  when country = "GB"\n  until 2026-06-30\n'
    rules.write_text(rules.read_text() + ended + '  approved by "Head"\n  because "a deposit"\n')
    assert engine("check", "--on", "2026-06-30").out == "4 files: no problems\n"
    result = engine("check", "--on", "2026-07-01")
    assert result.code == 0 and "`LARGE-01-E1` ended on 2026-06-30: on 2026-07-01, the day of this check" in result.out
    assert engine("check", "--on", "2026-07-01", "--json").json["on"] == "2026-07-01"
    assert "`tomorrow` is no day; write it like 2027-01-01" in engine("check", "--on", "tomorrow").err


def test_check_of_one_file_reads_what_it_uses(engine, payments):
    habits = payments / "rulesets/shop/habits.rules"
    habits.write_text(habits.read_text().replace("sum of amount", "sum of nothing"))
    result = engine("check", "rulesets/shop/checks.rules")
    assert result.code == 1 and "rulesets/shop/habits.rules:7:" in result.out


def test_check_from_elsewhere_names_files_from_here(engine, payments, monkeypatch):
    cascade = payments / CASCADE
    cascade.write_text(cascade.read_text().replace("checks: {rules", "checks: {rule"))
    monkeypatch.chdir(payments.parent)
    assert "payments/cascades/screening.yaml:7:" in engine("check", "payments").out


def test_check_of_a_file_in_the_wrong_place(engine, payments):
    (payments / "stray.rules").write_text((payments / "rulesets/shop/checks.rules").read_text().replace("shop/checks", "shop/stray"))
    result = engine("check", "stray.rules")
    assert result.code == 1 and "rulesets/shop/stray.rules" in result.out


@pytest.mark.parametrize("command", ["check", "test", "fmt"])
def test_a_path_that_is_not_there(engine, payments, command):
    result = engine(command, "nowhere")
    assert result.code == 2 and result.err == "engine: `nowhere`: there is no such file or folder\n"
    assert engine(command, "nowhere", "--json").json == {"error": "`nowhere`: there is no such file or folder"}


# --- fmt --------------------------------------------------------------------------------------------------------------


def test_fmt_writes_and_check_does_not(engine, payments):
    rules = payments / "rulesets/shop/habits.rules"
    before = rules.read_text()
    rules.write_text(
        before.replace("  = count", "=count") + "# a word at the end\n" if "\n  = count" in before else before.replace(" = ", "=")
    )
    crooked = rules.read_text()
    assert crooked != before
    assert engine("fmt", "--check", "rulesets").code == 1 and rules.read_text() == crooked
    result = engine("fmt", "rulesets")
    assert result.code == 0 and "changed rulesets/shop/habits.rules" in result.out
    assert engine("fmt", "--check", "rulesets", "--json").json == {"files": 3, "changed": [], "diagnostics": []}
    assert not list(rules.parent.glob(".*"))


def test_fmt_leaves_what_it_cannot_read(engine, payments):
    rules = payments / "rulesets/shop/habits.rules"
    rules.write_text("features shop/habits version 1.0.0\nfeature =")
    result = engine("fmt", "rulesets")
    assert result.code == 1 and "rulesets/shop/habits.rules:2:" in result.out
    assert rules.read_text() == "features shop/habits version 1.0.0\nfeature ="
    rules.write_bytes(b"\xff\xfe" + "ruleset".encode("utf-16-le"))
    assert "not-utf8" in engine("fmt", "rulesets").out


def test_fmt_mends_safe_slips_and_says_where(engine, payments):
    rules = payments / "rulesets/shop/checks.rules"
    before = rules.read_text()
    broken = before.replace(" = ", " == ", 1) if "when" not in before else before.replace("  when ", "  When ", 1)
    rules.write_text(broken)
    line = broken[: broken.index("  When ")].count("\n") + 1
    dry = engine("fmt", "--fix", "--check", "rulesets")
    assert dry.code == 1 and rules.read_text() == broken and f"would fix rulesets/shop/checks.rules:{line}:3" in dry.out
    result = engine("fmt", "--fix", "rulesets")
    assert result.code == 0 and rules.read_text() == before
    assert f"fixed rulesets/shop/checks.rules:{line}:3: `When` is written in small letters: write `when`" in result.out
    assert engine("fmt", "--fix", "rulesets", "--json").json["fixed"] == []


def test_fmt_leaves_a_file_with_other_mistakes_as_it_was(engine, payments):
    rules = payments / "rulesets/shop/checks.rules"
    broken = rules.read_text().replace("  when ", "  When ", 1) + "\nfeature f = count over days per card\n"
    rules.write_text(broken)
    result = engine("fmt", "--fix", "rulesets")
    assert result.code == 1 and rules.read_text() == broken
    assert "bare-unit" in result.out and "checks.rules is left as it was: 1 slip could be mended" in result.out


@pytest.mark.parametrize("language", ["ru", "da"])
def test_fmt_puts_a_workspace_into_another_language_and_back(engine, payments, language):
    files = sorted((payments / "rulesets").rglob("*.rules"))
    engine("fmt")
    before = [path.read_text() for path in files]
    tested = engine("test").out
    assert engine("fmt", "--to", language).code == 0
    assert all(f" {language}\n" in path.read_text() for path in files)
    assert engine("fmt", "--check").code == 0 and engine("check").code == 0
    assert engine("test").out == tested
    assert engine("fmt", "--to", "en").code == 0
    assert [path.read_text() for path in files] == before


def test_fmt_refuses_a_language_in_which_a_name_is_a_word(engine, payments):
    rules = payments / "rulesets/shop/habits.rules"
    text = rules.read_text() + "\nparam og = 3\n"
    rules.write_text(text)
    result = engine("fmt", "--to", "da", "rulesets/shop/habits.rules")
    assert result.code == 1 and rules.read_text() == text
    assert "cannot be put into Danish" in result.out and "`og`" in result.out
    assert engine("fmt", "--to", "xx").code == 2


# --- many files -------------------------------------------------------------------------------------------------------


def test_many_files_are_checked_side_by_side_with_the_same_result(engine, payments):
    habits = payments / "rulesets/shop/habits.rules"
    for number in range(30):
        text = habits.read_text().replace("shop/habits", f"shop/habits_{number}")
        (habits.parent / f"habits_{number}.rules").write_text(text + (f"param unused_{number} = 1\n" if number % 7 == 0 else ""))
    (habits.parent / "habits_3.rules").write_text("features shop/habits_3 version 1.0.0\nfeature =")
    alone, together = engine("check", "--jobs", "1"), engine("check", "--jobs", "2")
    assert alone.code == together.code == 1
    assert alone.out == together.out and "habits_3.rules:2" in alone.out and alone.out.count("never-used") == 5


# --- test -------------------------------------------------------------------------------------------------------------


def test_a_failing_test_says_where_what_and_why(engine, payments):
    rules = payments / "rulesets/shop/checks.rules"
    rules.write_text(rules.read_text().replace("param large: money = 500 GBP", "param large: money = 600 GBP"))
    result = engine("test")
    assert result.code == 1
    line = next(number for number, line in enumerate(rules.read_text().splitlines(), 1) if "LARGE-01 hit" in line)
    assert f'rulesets/shop/checks.rules:{line}:10: failed: "a large payment is watched"' in result.out
    assert "expected LARGE-01 hit\n    got      LARGE-01 clear" in result.out
    assert result.out.count("amount >= large is false (amount = 500.00 GBP)") == 2, "of the rule, and once of the rest"
    found = engine("test", "--json").json
    assert found["failed"] == len(found["rulesets"][0]["failures"]) == 4


def test_rules_without_a_test_are_noted(engine, payments):
    rules = payments / "rulesets/shop/checks.rules"
    text = rules.read_text()
    rules.write_text(text[: text.index("\nstory")] + "\n")
    result = engine("test")
    assert result.code == 0
    assert "note: no test expects RAPID-01 hit" in result.out and "note: no test expects WEEK-01 hit" in result.out


def test_a_rule_set_that_does_not_check_is_no_success(engine, payments):
    rules = payments / "rulesets/shop/checks.rules"
    rules.write_text(rules.read_text().replace("when amount", "when amuont"))
    result = engine("test")
    assert result.code == 1 and "unknown-name" in result.out


def test_rejects_name_their_file_as_it_was_given(engine, payments):
    """Two folders may hold files of one name; and what is refused late, in another order than it was read, is told with its text too."""
    for folder, amount in (("a", "1.00"), ("b", "2.00")):
        (payments / folder).mkdir()
        row = {"id": "P-1", "paid_at": "2026-03-02T09:12:00", "amount": amount}
        (payments / folder / "x.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({"id": folder}) + "\n")
    record = payments / "rulesets/shop/payment.rules"
    for arrival in ("", "  arrival by time\n"):
        record.write_text(record.read_text().replace("  key id\n", f"  key id\n{arrival}"))
        result = engine("run", CASCADE, "--input", "a/x.jsonl", "b/x.jsonl", "--output", "d.jsonl", "--rejects", "r.csv")
        assert result.code == 0, result.err
        rejects = {(row["file"], row["row"]): row for row in csv.DictReader((payments / "r.csv").read_text().splitlines())}
        assert sorted(rejects) == [("a/x.jsonl", "2"), ("b/x.jsonl", "1"), ("b/x.jsonl", "2")]
        late = rejects["b/x.jsonl", "1"]
        assert "was there before with other content" in late["reason"]
        assert json.loads(late["raw"]) == row


def test_keys_are_looked_at_when_a_day_begins(engine, payments):
    _, *others = (payments / "events.csv").read_text().splitlines()
    args = ["run", CASCADE, "--input", "events.csv", "--output", "d.jsonl", "--rejects", "r.csv", "--ledger", "l.db", "--report", "r.html"]
    result = engine(*args, "--tick", "day", "--per", "card", "--until", "2026-03-10", "--json")
    assert result.code == 0, result.err
    decisions = [json.loads(line) for line in (payments / "d.jsonl").read_text().splitlines()]
    ticks = [one for one in decisions if one["tick"]]
    told = result.json
    assert told["balanced"] and told["rows"] == len(others) == told["decided"] + told["rejected"]
    assert told["ticks"]["decided"] == len(ticks) > 5 and told["decided"] == len(decisions) - len(ticks)
    assert all(one["key"] is None and one["per.card"].startswith("tok_") and one["time"].startswith("2026-03-") for one in ticks)
    assert ticks[-1]["time"].startswith("2026-03-10T00:00:00")
    assert f"{len(ticks):,} decisions, which are in none of the numbers above" in (payments / "r.html").read_text()
    assert engine("replay", "l.db").out.startswith(f"{len(decisions)} decisions given again, {len(decisions)} the same")
    text = engine(*args[:-4], "--tick", "day", "--per", "card").out
    assert "ticks decided, without an event" in text and "outcomes of ticks" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tick", "day"], "--tick says when keys are looked at, --per which: give both, like `--tick day --per account`"),
        (["--per", "card"], "--tick says when keys are looked at, --per which: give both, like `--tick day --per account`"),
        (["--tick", "day", "--per", "crad"], "`shop/payment` has no field `crad`; did you mean `card`?"),
        (["--tick", "day", "--per", "country"], "no feature is per `country`; they are per `card`"),
        (["--tick", "day", "--per", "card", "--until", "soon"], "`soon` is no day until which ticks go on; write it as `2026-01-31`"),
        (["--memory", "much"], "`much` is no size: write --memory as `500MB` or `2GB`"),
        (["--memory", "-1GB"], "`-1GB` is no size: write --memory as `500MB` or `2GB`"),
        (["--memory", "5MB"], "--memory 5MB is too little: give history at least 10 MB"),
        (["--memory", "1GB", "--temp", "nowhere"], "--temp `nowhere` is no folder: rows are put aside there while the run goes on"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_written(engine, payments, options, said):
    before = sorted(payments.iterdir())
    options = [f"{options[0]}={options[1]}"] if options[1].startswith("-") else options
    result = engine("run", CASCADE, "--input", "events.csv", "--output", "d.jsonl", "--rejects", "r.csv", *options)
    assert (result.code, result.out, result.err) == (2, "", f"engine: {said}\n")
    assert sorted(payments.iterdir()) == before


def test_a_run_is_told_what_its_history_takes(engine, payments):
    result = engine("run", CASCADE, "--input", "events.csv", "--output", "d.jsonl", "--rejects", "r.csv", "--memory", "500MB")
    assert result.code == 0 and "takes up to 1 MB, which fits into --memory" in result.err


# --- decide, explain ----------------------------------------------------------------------------------------------------


def test_decide_from_a_file_and_from_standard_input(engine, payments):
    from_file = engine("decide", CASCADE, "event.json")
    piped = engine("decide", CASCADE, "-", stdin=(payments / "event.json").read_text())
    assert from_file.code == 0 and from_file.out == piped.out
    assert from_file.out.startswith("P-1007: review (robust)\n  LARGE-01: 640.00 GBP is at or above 500.00 GBP [House rule 1]\n")
    assert "undecided: " in from_file.out and "habits.payments_1d (unavailable)" in from_file.out


def test_decide_as_json_follows_its_schema(engine, payments):
    import jsonschema

    from engine.resources import grammar_text

    found = engine("decide", CASCADE, "event.json", "--json").json
    jsonschema.Draft202012Validator(json.loads(grammar_text("decision.schema.json"))).validate(found)
    assert found["outcome"] == "review" and found["id"] is None


def test_a_name_no_field_takes_is_noted(engine, payments):
    event = '{"id": "1", "paid_at": "2026-03-06T18:20:00", "amunt": 3, "card_country": "GB", "memo": {"a": 1}}'
    result = engine("decide", CASCADE, stdin=event)
    assert result.code == 0
    assert result.err.splitlines() == ["note: no field takes `amunt`; did you mean `amount`?", "note: no field takes `memo`"]


def test_history_is_kept_in_a_store(engine, payments):
    event = json.loads((payments / "event.json").read_text())
    for number, hour in enumerate((10, 11, 12)):
        text = json.dumps({**event, "id": f"P{number}", "paid_at": f"2026-03-06T{hour}:00:00"})
        result = engine("decide", CASCADE, "--store", "sqlite:h.db", "--history-from", "2026-01-01", "--json", stdin=text)
        assert result.code == 0
    assert "RAPID-01" in result.json["hits"]
    look = json.dumps({**event, "id": "P9", "paid_at": "2026-03-06T13:00:00"})
    for _ in range(2):  # explaining leaves no trace
        result = engine("explain", CASCADE, "--store", "sqlite:h.db", "--json", stdin=look)
        assert result.json["values"]["habits.payments_1d"] == 4


def test_explain_shows_the_code(engine):
    result = engine("explain", CASCADE, "--code")
    assert result.code == 0 and "# step " in result.out and "def rules(row):" in result.out
    assert json.loads(engine("explain", CASCADE, "--code", "--json").out)["code"].rstrip() == result.out.rstrip()
    assert "leave out the event" in engine("explain", CASCADE, "event.json", "--code").err


def test_explain_makes_no_store(engine, payments):
    result = engine("explain", CASCADE, "event.json", "--store", "sqlite:h.db")
    assert (result.code, result.out) == (2, "") and result.err.startswith(
        "engine: there is no store `h.db`; `engine decide --store sqlite:h.db`"
    )
    assert not (payments / "h.db").exists()
    assert engine("explain", CASCADE, "event.json", "--store", "memory:").code == 0


def test_explain_answers_for_every_rule(engine, payments):
    result = engine("explain", CASCADE, "event.json")
    assert result.code == 0
    for rule in ("LARGE-01 hit", "WEEK-01 undecided", "RAPID-01 undecided", "ABROAD-01 hit"):
        assert rule in result.out
    assert engine("explain", CASCADE, "event.json", "--json").json["explanation"][0] == result.out.splitlines()[0]


@pytest.mark.parametrize(
    ("event", "code", "words"),
    [
        ("{}", 1, "`id`"),
        ('{"id": "1"}', 1, "`paid_at`"),
        ('{"id": "1", "paid_at": "yesterday"}', 1, "`paid_at`"),
        ("[1]", 1, ""),
        ("{", 1, ""),
        ('{"id": 1, "id": 2}', 1, "twice"),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, 1, "deep"),
        ("", 1, ""),
    ],
)
def test_an_event_that_cannot_be_decided(engine, payments, event, code, words):
    result = engine("decide", CASCADE, "-", stdin=event)
    assert result.code == code and result.out == "" and words in result.err
    assert result.err.startswith("engine: ") and len(result.err.splitlines()) == 1


def test_an_event_that_is_no_text(engine, payments):
    (payments / "event.json").write_bytes(b"\xff\xfe{\x00}\x00")
    result = engine("decide", CASCADE, "event.json")
    assert result.code == 2 and "no UTF-8 text" in result.err


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["decide", "cascades/none.yaml", "event.json"], 2, "none.yaml"),
        (["decide", CASCADE, "none.json"], 2, "`none.json`: no such file"),
        (["decide", CASCADE, "."], 2, "directory"),
        (["decide", "event.json"], 2, f"`event.json` is no cascade: a cascade is a .yaml file, like `{CASCADE}`"),
        (["explain", "cascades/screning.yaml", "event.json"], 2, f"there is no file `cascades/screning.yaml`; did you mean `{CASCADE}`?"),
        (["decide", CASCADE, "event.json", "--store", "redis:x"], 2, "no known kind"),
        (["decide", CASCADE, "event.json", "--store", "sqlite:event.json"], 2, "event.json"),
        (["decide", CASCADE, "event.json", "--store", "memory:", "--history-from", "soon"], 2, "`soon`"),
        (["decide", CASCADE, "event.json", "--ledger", "event.json"], 2, "is not a ledger"),
        (["graph", "cascades"], 2, f"`cascades` is a folder: name the file of a cascade, like `{CASCADE}`"),
        (["replay", "none.db"], 2, "there is no ledger"),
        (["replay", "event.json"], 2, "is not a ledger"),
        (["graph", "event.json"], 2, "is no cascade"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(engine, payments, args, code, words):
    result = engine(*args)
    assert (result.code, result.out) == (code, "")
    assert words in result.err
    if code == 2:
        assert result.err.startswith("engine: ") and len(result.err.splitlines()) == 1


def test_a_cascade_that_does_not_check(engine, payments):
    cascade = payments / CASCADE
    cascade.write_text(cascade.read_text().replace("decision: checks", "decision: cheks"))
    result = engine("decide", CASCADE, "event.json")
    assert result.code == 1 and "did you mean `checks`?" in result.err
    assert engine("decide", CASCADE, "event.json", "--json").json["diagnostics"][0]["code"] == "unknown-step"


# --- run --------------------------------------------------------------------------------------------------------------

RUN = ["run", CASCADE, "--input", "events.csv", "--output", "out/d.jsonl", "--rejects", "out/r.csv"]


def test_run_decides_or_rejects_every_row(engine, payments):
    result = engine(*RUN, "--history-from", "2026-01-01")
    assert result.code == 0 and "rows in = decided + rejected" in result.out
    decisions = [json.loads(line) for line in (payments / "out/d.jsonl").read_text().splitlines()]
    assert [one["outcome"] for one in decisions] == ["accept", "watch", "watch", "review", "review", "accept"]
    assert decisions[4]["possible"] == ["review", "watch", "accept"] and decisions[4]["undecided"] == ["LARGE-01", "WEEK-01"]
    (reject,) = csv.DictReader((payments / "out/r.csv").read_text().splitlines())
    assert (reject["file"], reject["row"], reject["reason"]) == ("events.csv", "7", "key `id` is missing")


def test_run_as_json_counts(engine, payments):
    found = engine(*RUN, "--history-from", "2026-01-01", "--json").json
    assert (found["rows"], found["decided"], found["rejected"], found["balanced"]) == (7, 6, 1, True)
    assert found["outcomes"] == {"review": 2, "watch": 2, "accept": 2} and found["written"] == ["out/d.jsonl", "out/r.csv"]


def test_run_records_what_replay_gives_again(engine, payments):
    result = engine(*RUN, "--ledger", "l.db")
    assert result.code == 0
    assert engine("replay", "l.db").out == "6 decisions given again, 6 the same; the chain holds\n"
    with Ledger.read(payments / "l.db") as ledger:
        events = [json.loads(entry.event) for entry in ledger.entries()]
    assert events[4] == {
        "id": "P-1005",
        "paid_at": "2026-03-03T16:45:00",
        "card": "tok_1",
        "amount": "1.234,50",
        "card_country": "GB",
        "delivery": "home",
    }


def test_run_draws_a_report_with_the_words_of_the_licence(engine, payments):
    (payments / "LICENCE.md").write_text("# Data\n> Words to\n> carry.\n")
    assert engine(*RUN, "--report", "out/report.html").code == 0
    assert "Words to carry." in (payments / "out/report.html").read_text(encoding="utf-8")


def test_run_takes_patterns_in_the_order_of_names(engine, payments):
    header, *rows = (payments / "events.csv").read_text().splitlines()
    for number, row in enumerate(rows):
        (payments / f"feed-{number}.csv").write_text(f"{header}\n{row}\n")
    result = engine("run", CASCADE, "--input", "feed-*.csv", "--output", "d.jsonl", "--rejects", "r.csv", "--json")
    assert result.json["rows"] == 7
    keys = [json.loads(line)["key"] for line in (payments / "d.jsonl").read_text().splitlines()]
    assert keys == [f"P-100{number}" for number in range(1, 7)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"events.csv": "none.csv"}, "no file `none.csv`"),
        ({"events.csv": "README.md"}, "cannot read `README.md`"),
        ({"out/d.jsonl": "out/d.xls"}, "cannot write `d.xls`"),
        ({"out/d.jsonl": "event.json/d.csv"}, "event.json"),
    ],
)
def test_run_refuses_what_it_cannot_do(engine, payments, change, words):
    result = engine(*(change.get(arg, arg) for arg in RUN))
    assert result.code == 2 and words in result.err and result.out == ""
    assert not list(payments.glob("out/*"))


def test_run_survives_being_stopped(payments):
    header, row, *_ = (payments / "events.csv").read_text().splitlines()
    with (payments / "events.csv").open("w") as file:
        file.write(header + "\n")
        file.writelines(row.replace("P-1001", f"P-{number}") + "\n" for number in range(300_000))
    (payments / "out").mkdir()
    (payments / "out/d.jsonl").write_text("old")
    process = subprocess.Popen([sys.executable, "-m", "engine", *RUN], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: any(path.name.startswith(".unfinished-") for path in (payments / "out").iterdir()))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err.splitlines()[-1] == "engine: stopped"
    assert [path.name for path in (payments / "out").iterdir()] == ["d.jsonl"] and (payments / "out/d.jsonl").read_text() == "old"


def wait_until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


# --- graph ------------------------------------------------------------------------------------------------------------


def test_graph_as_text_and_mermaid(engine, payments):
    text = engine("graph", CASCADE).out
    assert "shop/screening@1.0.0 on shop/payment@1.0.0" in text and "reads habits: payments_1d, spent_7d" in text
    drawn = engine("graph", CASCADE, "--format", "mermaid").out
    assert drawn.startswith("flowchart LR\n") and '-->|"payments_1d<br/>spent_7d"|' in drawn
    assert engine("graph", CASCADE, "--json").json["decision"] == "checks"


def test_graph_as_svg_stands_alone(engine, payments):
    tree = ElementTree.fromstring(engine("graph", CASCADE, "--format", "svg").out)
    words = "".join(tree.itertext())
    assert "shop/checks@1.0.0" in words and "habits: payments_1d, spent_7d" in words
    assert "http" not in "".join(value for node in tree.iter() for value in node.attrib.values())


def test_graph_shows_gates_and_every_column_that_ties_steps(engine):
    cascade = ROOT / "examples/purchase_cards/cascades/audit.yaml"
    found = engine("graph", cascade, "--json").json
    reads = {node["name"]: node["reads"] for layer in found["layers"] for node in layer}
    assert reads["merchants"] == {} and set(reads["verdict"]) == {"limits", "merchants", "habits", "books", "anomaly"}
    depth = {node["name"]: place for place, layer in enumerate(found["layers"]) for node in layer}
    assert all(depth[source] < depth[name] for name, sources in reads.items() for source in sources)
    words = " ".join(engine("graph", cascade, "--format", "svg").out.split())
    assert "when amount &gt; 0 GBP" in words
    assert all(column in words for sources in reads.values() for columns in sources.values() for column in columns)


# --- replay -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def ledger(engine, payments):
    assert engine("decide", CASCADE, "event.json", "--ledger", "l.db").code == 0
    return payments / "l.db"


def test_replay_needs_nothing_but_the_ledger(engine, ledger, payments):
    (payments / "rulesets/shop/checks.rules").unlink()
    result = engine("replay", ledger)
    assert (result.code, result.out) == (0, "1 decision given again, 1 the same; the chain holds\n")
    assert engine("replay", ledger, "--json").json == {"count": 1, "same": 1, "differences": [], "altered": []}


def test_replay_shows_what_was_altered(engine, ledger):
    with sqlite3.connect(ledger) as connection:
        connection.execute("""UPDATE entry SET body = replace(body, '"outcome":"review"', '"outcome":"accept"')""")
    connection.close()
    result = engine("replay", ledger)
    assert result.code == 1
    assert "entry 1 of" in result.out and 'outcome was "accept", is "review"' in result.out and "the chain is broken" in result.out


def test_replay_explains_one_decision_from_the_ledger_alone(engine, ledger, payments):
    explained = engine("explain", CASCADE, "event.json").out
    (payments / "rulesets/shop/checks.rules").unlink()
    result = engine("replay", ledger, "--explain", "P-1007")
    assert result.code == 0 and result.out.endswith("\n\n" + explained)
    assert '"card": "tok_2"' in result.out and "ruleset shop/checks@1.0.0 sha256:" in result.out
    (found,) = engine("replay", ledger, "--explain", "P-1007", "--json").json["decisions"]
    assert found["difference"] is None and found["decision"]["id"] == found["id"]
    assert found["explanation"] == explained.splitlines()
    assert engine("replay", ledger, "--explain", found["id"]).out == result.out
    nobody = engine("replay", ledger, "--explain", "P-1")
    assert (nobody.code, nobody.err) == (2, f"engine: no decision with the key or id `P-1` is recorded in `{ledger}`\n")


def test_an_altered_event_shows_in_its_explanation(engine, ledger):
    with sqlite3.connect(ledger) as connection:
        connection.execute("UPDATE entry SET event = replace(event, 'tok_2', 'tok_3')")
    connection.close()
    result = engine("replay", ledger, "--explain", "P-1007")
    assert result.code == 1 and result.out.startswith("entry 1 of") and "was altered" in result.out.splitlines()[0]


# --- the process ------------------------------------------------------------------------------------------------------


def test_a_reader_that_stops_early_is_no_error(payments):
    shell = f"{sys.executable} -m engine check --json . | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""


def test_an_ascii_terminal_shows_every_message(payments):
    (payments / "event.json").write_text('{"id": "Zürich-漢", "paid_at": "2026-03-06T18:20:00"}', encoding="utf-8")
    command = [sys.executable, "-m", "engine", "decide", CASCADE, "event.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin"})
    assert done.returncode == 0 and "Z\\xfcrich-\\u6f22" in done.stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("run", "c.yaml", "--outptu", "x"), "engine run: error: `run` has no option `--outptu`; did you mean `--output`?"),
        (("run", "c.yaml", "--histroy-from=2020-01-01"), "did you mean `--history-from`?"),
        (("rnu", "c.yaml"), "engine: error: there is no command `rnu`; did you mean `run`?"),
    ],
)
def test_a_word_that_is_misspelt_gets_the_right_one(args, words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(args)
    assert stopped.value.code == 2 and words in capsys.readouterr().err


def test_an_option_may_stand_between_what_a_command_is_about(payments, capsys):
    plain = ["decide", str(payments / "cascades/screening.yaml"), str(payments / "event.json")]
    said = []
    for words in ([*plain, "--json"], [plain[0], plain[1], "--json", plain[2]], [plain[0], "--json", *plain[1:]]):
        assert main(words) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] == said[2]
