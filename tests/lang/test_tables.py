"""What is proved of decision tables is what enumeration finds; tables in files read like tables in the text; explanations name the row."""

import itertools
import zipfile
from dataclasses import replace
from pathlib import Path
from random import Random

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.api import Engine
from engine.backends import reference
from engine.lang import check, ir
from engine.lang.cover import Space, TooMuch
from engine.lang.format import format_file
from engine.lang.parse import parse
from engine.lang.problems import Report
from engine.lang.proof import prove
from engine.values import FLAG, INTEGER, TEXT, missing
from tests.lang.golden import WORKSPACE, environment, problems
from tests.properties.strategies import FUZZ

HEADER = "ruleset aml/tables version 1.0.0\n  record bank/transaction ^1\n"
KINDS = {"integer": (INTEGER, (0, 1, 2, 4)), "text": (TEXT, ("a", "b", "c")), "flag": (FLAG, (True, False))}
POINTS = {"integer": range(-1, 7), "text": ("a", "b", "c", "other"), "flag": (True, False)}


def cell(random, subject, values, asks):
    """A cell as the checker makes it, of what tables say of a value."""

    def const():
        return ir.Const(random.choice(values), type=subject.type)

    draw = random.random()
    if draw < 0.25:
        return None
    if asks and draw < 0.4:
        return ir.IsMissing(subject)
    if draw < 0.6 and subject.type.kind == "integer":
        low, high = sorted((const(), const()), key=lambda one: one.value)
        said = ir.And((ir.Compare(random.choice((">", ">=")), subject, low), ir.Compare(random.choice(("<", "<=")), subject, high)))
    elif draw < 0.8:
        ops = ("=", "!=", "<", ">=") if subject.type.kind == "integer" else ("=", "!=")
        said = ir.Compare(random.choice(ops), subject, const())
    else:
        said = ir.In(subject, frozenset(random.sample(values, min(2, len(values)))))
        said = random.choice((said, ir.Not(said)))
    return ir.And((ir.Not(ir.IsMissing(subject)), said)) if asks else said


def _asks(cell):
    return cell is not None and any(isinstance(node, ir.IsMissing) for node in ir.walk(cell))


def some_table(random, match):
    kinds = [random.choice(list(KINDS)) for _ in range(random.choice((1, 2, 2, 3)))]
    subjects = [ir.Read(f"x{i}", type=KINDS[kind][0]) for i, kind in enumerate(kinds)]
    asks = [random.random() < 0.4 for _ in kinds]
    rows = tuple(
        ir.TableRow(n, tuple(cell(random, s, KINDS[k][1], a) for s, k, a in zip(subjects, kinds, asks, strict=True)))
        for n in range(1, random.randint(2, 9))
    )
    asking = [any(_asks(row.cells[place]) for row in rows) for place in range(len(kinds))]
    made = ir.Table("t", match, tuple((s.name, s) for s in subjects), (), rows)
    points = [[*POINTS[kind], *([missing("absent")] if asked else [])] for kind, asked in zip(kinds, asking, strict=True)]
    return made, [dict(zip((s.name for s in subjects), point, strict=True)) for point in itertools.product(*points)]


@settings(max_examples=300 * FUZZ, deadline=None, derandomize=FUZZ == 1)
@given(st.integers(0, 2**63), st.sampled_from(("unique", "first")))
def test_overlaps_gaps_and_hidden_rows_are_those_enumeration_finds(seed, match):
    table, points = some_table(Random(seed), match)
    report = Report()
    proved = prove(table, report)
    taken = [[row.number for row, state in reference.judged_rows(table, point) if state is True] for point in points]
    found = {one.code for one in report.found}
    assert "table-unproved" not in found
    assert proved.complete == all(taken)
    assert ("table-gap" in found) == (not all(taken))
    assert ("row-never" in found) == any(all(row.number not in one for one in taken) for row in table.rows)
    if match == "unique":
        assert proved.proved == all(len(one) <= 1 for one in taken)
        assert ("table-overlap" in found) == (not proved.proved)
    else:
        first = {one[0] for one in taken if one}
        hidden = {row.number for row in table.rows} - first - {r.number for r in table.rows if all(r.number not in one for one in taken)}
        assert ("row-hidden" in found) == bool(hidden)


def test_what_takes_too_long_is_said():
    random = Random(1)
    size = 3000
    cuts = [[sorted(random.sample(range(size + 1), 2)) for _ in range(3)] for _ in range(1500)]
    space = Space(((1 << size) - 1,) * 3, [tuple((1 << high) - (1 << low) for low, high in box) for box in cuts], effort=20_000)
    with pytest.raises(TooMuch):
        for number in range(1500):
            space.hole(space.boxes[number], range(number))


def test_the_table_of_the_page_behaves_as_its_test_says():
    text = (Path(__file__).parent / "good" / "cash.rules").read_text(encoding="utf-8")
    tree, _ = parse(text, "cash.rules")
    env = environment(tree, WORKSPACE / "rulesets")
    ruleset, _ = check.check_ruleset(tree, env)
    (table,) = ruleset.tables
    assert (table.match, table.complete, [column.name for column in table.outputs]) == ("first", False, ["tier"])
    assert [one.type.choices for one in table.outputs] == [("high", "medium", "unseen", "low")]


# --- files -----------------------------------------------------------------------------------------------------------


def checked(text, folder=WORKSPACE / "rulesets"):
    tree, found = parse(HEADER + text, "t.rules")
    assert not found
    env = environment(tree, folder)
    return check.check_ruleset(tree, env if folder.is_relative_to(WORKSPACE) else replace(env, workspace=folder))


def meaning(table):
    return [(row.cells, row.values) for row in table.every_row]


def test_a_table_reads_the_same_in_the_text_in_csv_and_in_a_workbook():
    inline = """table tiers
      | channel        | amount     | => tier |
      | "cash"         | >= 100 USD | "high"  |
      | "cash"         | < 100 USD  | "low"   |
      | not in ("cash") | any       | "none"  |
    """
    made = [checked(text)[0].tables[0] for text in (inline, 'table tiers from "tiers.csv"', 'table tiers from "tiers.xlsx"')]
    assert meaning(made[0]) == meaning(made[1]) == meaning(made[2])
    assert [row.number for row in made[1].rows] == [2, 3, 4]
    assert all(table.proved and table.complete for table in made)


def test_numbers_dates_and_percentages_of_a_workbook_read_as_they_are_shown(tmp_path):
    import datetime as dt

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["share", "booked_on", "amount", "urgent", "=> limit"])
    sheet["E1"].data_type = "s"
    sheet.append([0.125, dt.date(2026, 1, 31), 5000, True, 1.5])
    sheet["A2"].number_format, sheet["C2"].number_format = "0.0%", '#,##0.00 "USD"'
    book.save(tmp_path / "kinds.xlsx")
    ruleset, found = checked('table kinds first match from "kinds.xlsx"', tmp_path)
    assert ruleset is not None, found
    said = [cell.right.value if isinstance(cell, ir.Compare) else cell for cell in ruleset.tables[0].rows[0].cells]
    assert said == [12_500_000, 20484, 500_000, True]
    assert ruleset.tables[0].rows[0].values[0].value == 1.5


@pytest.mark.parametrize(
    ("name", "make", "code"),
    [
        ("big.csv", lambda path: path.write_text("channel,=> tier\n" + "x,1\n" * 10_001), "table-too-large"),
        ("long.csv", lambda path: path.write_text("channel,=> tier\n" + "x" * 1001 + ",1\n"), "table-too-large"),
        ("heavy.csv", lambda path: path.write_bytes(b"x" * 10_000_001), "table-too-large"),
        ("zero.csv", lambda path: path.write_bytes(b"channel,=> tier\n\0,1\n"), "sheet-unreadable"),
        ("empty.csv", lambda path: path.write_text("\n\n"), "table-without-rows"),
        ("no.xlsx", lambda path: path.write_bytes(b"no workbook"), "sheet-unreadable"),
        ("broken.xlsx", lambda path: zipfile.ZipFile(path, "w").writestr("a", "b"), "sheet-unreadable"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, name, make, code):
    make(tmp_path / name)
    assert [one.code for one in checked(f'table t first match from "{name}"', tmp_path)[1]] == [code]


def test_a_bomb_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as packed, packed.open("xl/worksheets/sheet1.xml", "w") as part:
        for _ in range(101):
            part.write(b" " * 1_000_000)
    (found,) = checked('table t from "bomb.xlsx"', tmp_path)[1]
    assert found.code == "table-too-large"


# --- looking back ----------------------------------------------------------------------------------------------------


def workspace(folder):
    (folder / "rulesets/t").mkdir(parents=True)
    (folder / "cascades").mkdir()
    (folder / "rulesets/t/event.rules").write_text(
        'record t/event version 1.0.0 zone "UTC" key id time at '
        "field id: text field at: datetime field channel: text field amount: money USD optional"
    )
    (folder / "rulesets/t/tiers.csv").write_text("channel,amount,=> tier\ncash,>= 100 USD,high\ncash,< 100 USD,low\notherwise,,none\n")
    (folder / "rulesets/t/rules.rules").write_text(
        'ruleset t/rules version 1.0.0 record t/event ^1\ntable tiers "How much" from "tiers.csv"\n'
        'decide outcome first match\n  block when tier = "high"\n  approve otherwise\n'
    )
    cascade = folder / "cascades/c.yaml"
    cascade.write_text("cascade: t/c\nversion: 1.0.0\nrecord: t/event@^1\nsteps:\n  r: {rules: t/rules@^1}\ndecision: r\n")
    return cascade


def test_an_explanation_names_the_row_and_why_others_do_not_apply(tmp_path):
    engine = Engine.load(workspace(tmp_path))
    event = {"id": "1", "at": "2026-01-01T00:00:00Z", "channel": "cash"}
    said = engine.decide(event | {"amount": "50 USD"}).explain()
    assert "  table tiers (How much): row 3 of tiers.csv applies: tier = low" in said
    assert "    row 2 of tiers.csv does not: amount >= 100.00 USD is false (amount = 50.00 USD)" in said
    decision = engine.decide(event)
    assert decision.possible == ("block", "approve")
    assert "settled by amount" in decision.explain()
    assert "row 2 of tiers.csv or row 3 of tiers.csv or otherwise may apply: tier = missing (undecided)" in decision.explain()


def test_another_file_is_another_version(tmp_path):
    cascade = workspace(tmp_path)
    before = Engine.load(cascade).decide({"id": "1", "at": "2026-01-01T00:00:00Z", "channel": "cash", "amount": "50 USD"})
    (tmp_path / "rulesets/t/tiers.csv").write_text("channel,amount,=> tier\ncash,>= 10 USD,high\notherwise,,none\n")
    after = Engine.load(cascade).decide({"id": "1", "at": "2026-01-01T00:00:00Z", "channel": "cash", "amount": "50 USD"})
    assert (before.outcome, after.outcome) == ("approve", "block")
    assert before.versions != after.versions


def test_the_formatter_aligns_a_table_and_says_how_it_matches():
    tree, _ = parse(HEADER + 'table t\n|channel|=> a|\n|"x"|1|\n|otherwise||\n'.replace("||\n", "| 20 |\n"), "t.rules")
    assert format_file(tree).endswith('table t unique match\n  | channel   | => a |\n  | "x"       | 1    |\n  | otherwise | 20   |\n')
    assert problems(format_file(tree), "t.rules") == []
