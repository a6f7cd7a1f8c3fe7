"""What cycles and middlemen cost an event on the transfers of AMLSim, by the length of their window. See README.md beside it."""

from __future__ import annotations

import argparse
import csv
import gzip
import time
from collections.abc import Sequence
from pathlib import Path

from engine.backends.columnar import pack, unpack
from engine.features.columnar import WindowState, observe
from engine.features.spec import BoundFeatures
from engine.lang import ir
from engine.plan import Row
from engine.record import Field, Record
from engine.values import DATE, TEXT, Interval, Type, Value

TRANSFERS = Path(__file__).resolve().parents[1] / "examples" / "aml" / "transfers.csv.gz"
CENTS = Type("money", currency="USD")
FIELDS = (Field("id", TEXT), Field("day", DATE), Field("payer", TEXT), Field("payee", TEXT), Field("amount", CENTS))
RECORD = Record("amlsim/transfer", "1.0.0", "UTC", ("id",), "day", FIELDS, 0)
AMOUNT = ir.Read("amount", type=CENTS)
COUNTED = Type("integer", interval=True)
EVERYTHING = -(10**6)
"""History is complete since long before the first transfer."""


def transfers() -> list[Row]:
    """Every transfer in the order of the file; a day a step."""
    with gzip.open(TRANSFERS, "rt", encoding="utf-8", newline="") as file:
        return [
            {
                "id": row["id"],
                "day": int(row["time"]),
                "payer": row["sourceNodeId"],
                "payee": row["targetNodeId"],
                "amount": round(float(row["value"]) * 100),
            }
            for row in csv.DictReader(file)
        ]


def network(function: str, days: int, hops: int = 4, within: int | None = None, effort: int = 10_000) -> BoundFeatures:
    """One feature over the transfers of so many days."""
    of = None if within is None else AMOUNT
    window = ir.Window("trailing", days, "days")
    value = ir.Aggregate(function, of, window, ("payer", "payee"), None, network=ir.Network(effort, hops, within))
    columns = tuple(ir.Column(field.name, field.type) for field in FIELDS)
    made = ir.FeatureSet(
        "amlsim/networks", "1.0.0", ir.Use("record", RECORD.name, None, "transfer"), columns, (ir.Feature("n", COUNTED, value),)
    )
    return BoundFeatures(made, "", {}, RECORD)


def by_batch(rows: Sequence[Row], group: BoundFeatures, chunk: int = 20_000) -> list[Value]:
    """What it says to every transfer."""
    state = WindowState([group], RECORD, EVERYTHING)
    types = {field.name: field.type for field in FIELDS}
    frames = [observe(pack(rows[begin : begin + chunk], types), state).frame for begin in range(0, len(rows), chunk)]
    return [row["n"] for frame in frames for row in unpack(frame, state.layout.types)]


KINDS = [
    ("cycles of up to 3 hops", {"function": "cycles", "hops": 3}),
    ("cycles of up to 4 hops", {"function": "cycles", "hops": 4}),
    ("the same with amount within 10%", {"function": "cycles", "hops": 4, "within": 10_000_000}),
    ("middlemen", {"function": "middlemen"}),
]


def main() -> None:
    """Prints one line a feature and window: microseconds of processor time an event, found, and overruns."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--days", type=int, nargs="+", default=[5, 10, 30, 90])
    arguments.add_argument("--rows", type=int, default=None)
    given = arguments.parse_args()
    rows = transfers()[: given.rows]
    for name, kind in KINDS:
        for days in given.days:
            start = time.process_time()
            said = by_batch(rows, network(days=days, **kind))
            each = (time.process_time() - start) / len(rows) * 1e6
            over = sum(isinstance(value, Interval) for value in said)
            found = sum(not isinstance(value, Interval) and value > 0 for value in said)
            most = max(value.low if isinstance(value, Interval) else value for value in said)
            print(f"{name:32} {days:3} days {each:8.1f} us  {found:6} find some, {most:6} at most, {over:6} looked at too many", flush=True)


if __name__ == "__main__":
    main()
