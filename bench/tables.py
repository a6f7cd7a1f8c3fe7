"""What the proof of a decision table of 3,000 rows and three columns costs, and what looking one up costs, kind by kind of table.

python bench/tables.py
"""

from __future__ import annotations

import time
from random import Random

from engine.backends import single
from engine.backends.tables import Lookup
from engine.lang import ir
from engine.lang.problems import Report
from engine.lang.proof import prove
from engine.values import INTEGER, TEXT, missing

ROWS = 3_000
SUBJECTS = tuple((name, ir.Read(name, type=type_)) for name, type_ in (("country", TEXT), ("product", TEXT), ("amount", INTEGER)))
NUMBERS = tuple((name, ir.Read(name, type=INTEGER)) for name in ("a", "b", "c"))


def between(subject: ir.Expr, low: int, high: int) -> ir.Expr:
    ends = (ir.Const(low, type=INTEGER), ir.Const(high, type=INTEGER))
    return ir.And((ir.Compare(">=", subject, ends[0]), ir.Compare("<", subject, ends[1])))


def grid(random: Random) -> ir.Table:
    """What people write: so many countries, products and bands."""
    bands = sorted(random.sample(range(1, 100_000), 9))
    edges = list(zip([-(2**63), *bands], [*bands, 2**63 - 1], strict=True))
    shared = [between(SUBJECTS[2][1], low, high) for low, high in edges]
    texts = [
        [ir.Compare("=", subject, ir.Const(f"x{n}", type=TEXT)) for n in range(count)]
        for (_, subject), count in zip(SUBJECTS[:2], (20, 15), strict=True)
    ]
    rows = [(a, b, c) for a in texts[0] for b in texts[1] for c in shared]
    return table("unique", SUBJECTS, rows)


def guillotine(random: Random, match: str, lost: int = 0) -> ir.Table:
    """Adversarial: all space cut up again and again at random places, so that no two rows share an edge."""
    boxes = [((0, 10**6),) * 3]
    while len(boxes) < ROWS:
        at, column = random.randrange(len(boxes)), random.randrange(3)
        box = boxes[at]
        low, high = box[column]
        if high - low > 1:
            cut = random.randrange(low + 1, high)
            boxes[at] = (*box[:column], (low, cut), *box[column + 1 :])
            boxes.append((*box[:column], (cut, high), *box[column + 1 :]))
    random.shuffle(boxes)
    rows = [tuple(between(subject, *ends) for (_, subject), ends in zip(NUMBERS, box, strict=True)) for box in boxes[lost:]]
    return table(match, NUMBERS, rows)


def crossing(random: Random) -> ir.Table:
    """Hostile: rows at random, most of them across hundreds of others."""
    rows = [tuple(between(subject, *sorted(random.sample(range(10**6), 2))) for _, subject in NUMBERS) for _ in range(ROWS)]
    return table("first", NUMBERS, rows)


def table(match: str, inputs: tuple[tuple[str, ir.Expr], ...], rows: list[tuple[ir.Expr, ...]]) -> ir.Table:
    value = ir.Const("x", type=TEXT)
    made = tuple(ir.TableRow(number, cells, (value,)) for number, cells in enumerate(rows, 1))
    return ir.Table("bench", match, inputs, (ir.Column("x", TEXT),), made)


def main() -> None:
    random = Random(1)
    tables = {
        "grid, unique": grid(random),
        "cut up, unique": guillotine(random, "unique"),
        "cut up, unique, one row lost": guillotine(random, "unique", 1),
        "cut up, first match": guillotine(random, "first"),
        "crossing, first match": crossing(random),
    }
    for name, made in tables.items():
        best, report = 9.9, Report()
        for _ in range(3):
            report, start = Report(), time.process_time()
            proved = prove(made, report)
            best = min(best, time.process_time() - start)
        lookup = Lookup(proved, single.compile_expr)
        events = [
            {
                name: random.choice(("x1", "x9", missing("absent"))) if read.type is TEXT else random.randrange(10**6)
                for name, read in made.inputs
            }
            for _ in range(2_000)
        ]
        start = time.process_time()
        for event in events:
            lookup(event)
        each = (time.process_time() - start) / len(events)
        told = sorted({one.code for one in report.found})
        cost = f"proved in {best * 1e3:>7.1f} CPU ms  looked up in {each * 1e6:>6.1f} us"
        print(f"{name:<30} {len(made.rows):>6,} rows  {cost}  {' '.join(told)}")


if __name__ == "__main__":
    main()
