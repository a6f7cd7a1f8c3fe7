"""Cases an analyst can read: rule texts, rows and what must come out, on every backend, one row at a time and all at once.

A case has a `note`, `rules` and `rows`. A row has what is `given` (the rest is missing), what is wanted (`want`), and what the open
reading gives where it differs (`open`). Missing values read ``missing (cause)``; intervals ``{low: 1, high: 3}``, one end may be left out.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.backends import columnar, reference, single
from engine.backends.outline import may_open
from engine.lang import check, ir
from engine.lang.parse import parse
from engine.reading import read_value
from engine.record import Record
from engine.values import DATE, DATETIME, DAY, FLAG, MISSING, TEXT, Interval, Type, Value, missing

HERE = Path(__file__).parent
NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)


def load() -> list[Any]:
    found = []
    for path in sorted(HERE.glob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        shared = {name: content.get(name, {}) for name in ("files", "components")}
        found += [pytest.param(content["record"], shared | case, id=f"{path.stem}: {case['note']}") for case in content["cases"]]
    return found


def record_of(text: str) -> Record:
    tree, problems = parse(f"record t/event version 1.0.0\n{text}", "record")
    assert tree is not None, problems
    record, problems = check.check_record(tree)
    assert record is not None, problems
    return record


def rules_of(case: dict[str, Any], record: Record, folder: Path) -> ir.RuleSet:
    tree, problems = parse(f"ruleset t/case version 1.0.0 record t/event ^1\n{case['rules']}", "rules")
    assert tree is not None, problems
    ruleset, problems = check.check_ruleset(tree, environment(case, record, folder))
    assert ruleset is not None, problems
    return ruleset


def environment(case: dict[str, Any], record: Record, folder: Path) -> check.Environment:
    """The record, and the tables and rates of the case, loaded from its files."""
    for name, content in case["files"].items():
        (folder / name).write_text(content, encoding="utf-8")
    loaded: dict[str, dict[str, Any]] = {"table": {}, "rates": {}}
    for name, text in case["components"].items():
        tree, problems = parse(text, name)
        assert tree is not None, problems
        load = {"table": check.check_table, "rates": check.check_rates}[tree.kind]
        loaded[tree.kind][name], problems = load(tree, folder, folder)
        assert not problems
    return check.Environment(record, tables=loaded["table"], rates=loaded["rates"])


def value_of(raw: Any, type_: Type, currency: Value = MISSING) -> Value:
    """A value as a case writes it."""
    if isinstance(raw, str) and raw.startswith("missing"):
        return missing(raw.removeprefix("missing").strip(" ()") or "absent")
    if isinstance(raw, dict):
        ends = [None if raw.get(end) is None else value_of(raw[end], type_, currency) for end in ("low", "high")]
        return Interval(*ends, raw.get("cause", "undecided"))
    if isinstance(raw, list):
        return tuple(value_of(item, type_.item or TEXT) for item in raw)
    return read_value(type_, raw, currency=currency)


def row_of(given: dict[str, Any], types: dict[str, Type]) -> dict[str, Value]:
    unknown = set(given) - {*types, "day"}
    assert not unknown, f"the record has no {unknown}"
    now = (dt.datetime.combine(given["day"], dt.time(12), dt.UTC) if "day" in given else NOON).timestamp()
    row: dict[str, Value] = {"now": int(now) * 1_000_000, "@date": int(now) * 1_000_000 // DAY}
    for name, type_ in types.items():
        if name not in row:
            currency = given.get(type_.by, MISSING) if type_.by else MISSING
            row[name] = value_of(given.get(name, "missing"), type_, currency)
    return row


def input_types(record: Record, ruleset: ir.RuleSet) -> dict[str, Type]:
    columns = {column.name: column.type for column in (*record.fields, *ruleset.inputs)}
    return columns | {"now": DATETIME, "@date": DATE}


def output_types(ruleset: ir.RuleSet) -> dict[str, Type]:
    return {c.name: c.type for c in (*ruleset.outputs(), *ruleset.asides())} | {"@policy": FLAG, "possible": Type("list", item=TEXT)}


def wanted(name: str, raw: Any, types: dict[str, Type]) -> tuple[str, Value]:
    """The column and the value that a line of `want` speaks of."""
    if raw in ("hit", "clear", "undecided") and ir.hit(name) in types:
        return ir.hit(name), {"hit": True, "clear": False, "undecided": missing("undecided")}[raw]
    if name.startswith("flag "):
        name = f"flags.{name.removeprefix('flag ')}"
    return name, value_of(raw, types[name])


def readings(ruleset: ir.RuleSet, types: dict[str, Type], rows: list[dict[str, Value]], open_: bool) -> dict[str, list[dict[str, Value]]]:
    """The outputs for all rows, by every way there is to compute them."""
    made = output_types(ruleset)
    one, many = single.compile_rules(ruleset, open_), columnar.compile_rules(ruleset, open_)
    return {
        "reference": [reference.run(ruleset, row, open_) for row in rows],
        "single": [one(row) for row in rows],
        "columnar": columnar.unpack(many(columnar.pack(rows, types)), made),
        "columnar, one by one": [columnar.unpack(many(columnar.pack([row], types)), made)[0] for row in rows],
    }


@pytest.mark.parametrize(("record_text", "case"), load())
def test_case(record_text: str, case: dict[str, Any], tmp_path: Path) -> None:
    record = record_of(record_text)
    ruleset = rules_of(case, record, tmp_path)
    inputs, types = input_types(record, ruleset), output_types(ruleset)
    rows = [row_of(entry["given"], inputs) for entry in case["rows"]]
    for open_, key in ((False, "want"), (True, "open")):
        for way, found in readings(ruleset, inputs, rows, open_).items():
            for number, (entry, got) in enumerate(zip(case["rows"], found, strict=True), 1):
                expected = dict(wanted(name, raw, types) for name, raw in entry.get(key, {}).items())
                assert repr({name: got[name] for name in expected}) == repr(expected), f"{way}, row {number} ({key})"


@pytest.mark.parametrize(("record_text", "case"), load())
def test_types_say_where_intervals_are(record_text: str, case: dict[str, Any], tmp_path: Path) -> None:
    """A reader of a define or set trusts its type: where the value may be an open interval, the type must say so."""
    ruleset = rules_of(case, record_of(record_text), tmp_path)
    for statement in ruleset.body:
        if isinstance(statement, ir.Define):
            assert statement.value.type.interval or not may_open(statement.value)
        elif isinstance(statement, ir.Set):
            assert statement.type.interval or not any(may_open(value) for _, value in statement.values)
            assert statement.type.scale == 1
        elif isinstance(statement, ir.Table):
            for place, column in enumerate(statement.outputs):
                assert column.type.interval or column.type.item or not any(may_open(row.values[place]) for row in statement.every_row)


def test_cases_are_many() -> None:
    assert len(load()) >= 30
