"""`check_step` catches a step that breaks the law, and says how."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from engine.backends.columnar import pack, unpack
from engine.testkit import check_step
from engine.values import INTEGER, NUMBER, SCORE, TEXT, Interval, missing

ROWS: list[dict[str, Any]] = [{"n": 1, "other": "a"}, {"n": 21, "other": "b"}, {"n": missing("damaged"), "other": missing("absent")}]
TYPES = {"n": INTEGER, "other": TEXT}


class Double:
    """An honest step; the broken ones below differ in one place."""

    name = "double"
    reads: tuple[str, ...] = ("n",)
    writes: tuple[str, ...] = ("twice",)
    types: dict[str, Any] = {"twice": INTEGER}  # noqa: RUF012  a step is read, never changed

    def one(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"twice": 2 * row["n"] if isinstance(row["n"], int) else row["n"]}

    def many(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select((pl.col("n") * 2).alias("twice"), pl.col("n#").alias("twice#"))


class LosesTheCause(Double):
    def many(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select((pl.col("n") * 2).alias("twice"))


class DiffersInOneRow(Double):
    def many(self, frame: pl.DataFrame) -> pl.DataFrame:
        return super().many(frame).with_columns(pl.when(pl.col("twice") == 42).then(43).otherwise(pl.col("twice")).alias("twice"))


class ReadsMore(Double):
    def one(self, row: dict[str, Any]) -> dict[str, Any]:
        return super().one(row) | ({"twice": 7} if row["other"] == "a" else {})


class ManyReadsMore(Double):
    def many(self, frame: pl.DataFrame) -> pl.DataFrame:
        return super().many(frame.filter(pl.col("other").is_null() | pl.col("other").is_not_null()))


class WritesMore(Double):
    def one(self, row: dict[str, Any]) -> dict[str, Any]:
        return super().one(row) | {"spare": 1}


class ManyWritesMore(Double):
    def many(self, frame: pl.DataFrame) -> pl.DataFrame:
        return super().many(frame).with_columns(spare=1)


class WritesNothing(Double):
    def many(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select("n#")


class ChangesTheRow(Double):
    def one(self, row: dict[str, Any]) -> dict[str, Any]:
        result = super().one(row)
        row["n"] = 0
        return result


class ChangesTheFrame(Double):
    def many(self, frame: pl.DataFrame) -> pl.DataFrame:
        result = super().many(frame)
        frame.insert_column(0, pl.Series("extra", [0] * frame.height))
        return result


class DropsRows(Double):
    def many(self, frame: pl.DataFrame) -> pl.DataFrame:
        return super().many(frame).head(2)


class FailsOnNothing(Double):
    def many(self, frame: pl.DataFrame) -> pl.DataFrame:
        if frame.height == 0:
            raise ValueError("no rows")
        return super().many(frame)


class Remembers(Double):
    count = 0

    def one(self, row: dict[str, Any]) -> dict[str, Any]:
        self.count += 1
        return {"twice": self.count}


class WrongType(Double):
    def many(self, frame: pl.DataFrame) -> pl.DataFrame:
        return super().many(frame).with_columns(pl.col("twice").cast(pl.Int32))


class TypesUntrue(Double):
    types: dict[str, Any] = {"twice": INTEGER, "thrice": INTEGER}  # noqa: RUF012  as above


class ReadsUnknown(Double):
    reads = ("n", "nothing")


def test_an_honest_step_passes() -> None:
    check_step(Double(), ROWS, TYPES)
    check_step(Double(), [], TYPES)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (LosesTheCause(), "row 2, `twice`: `one` gives missing (damaged), `many` gives missing (absent), in the whole frame"),
        (DiffersInOneRow(), "row 1, `twice`: `one` gives 42, `many` gives 43, in the whole frame"),
        (ReadsMore(), "row 0: `one` reads `other`, which `reads` does not name"),
        (ManyReadsMore(), "`many` fails on the whole frame: ColumnNotFoundError"),
        (WritesMore(), "row 0: `one` writes `twice`, `spare`, `writes` says `twice`"),
        (ManyWritesMore(), "`many` writes `twice`, `twice#`, `spare`, `writes` says `twice`"),
        (WritesNothing(), "`many` writes `n#`, `writes` says `twice`"),
        (ChangesTheRow(), "row 0: `one` changes the row it is given"),
        (ChangesTheFrame(), "`many` changes the whole frame"),
        (DropsRows(), "`many` gives 2 rows for the whole frame, which has 3"),
        (FailsOnNothing(), "`many` fails on a frame of no rows: ValueError: no rows"),
        (Remembers(), "`one` gives 1, `one` again gives 2"),
        (WrongType(), "`many` writes `twice` as Int32, it must be Int64"),
        (TypesUntrue(), "`types` names `twice`, `thrice`, `writes` `twice`"),
        (ReadsUnknown(), "it reads `nothing`, of which the rows say no type"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Double) else "",
)
def test_a_step_that_breaks_the_law_is_told(step: Double, message: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_step(step, [dict(row) for row in ROWS], TYPES)
    assert message in str(caught.value)


class Scores:
    """Numbers a given number of floats off in a batch."""

    name, reads, writes = "scores", ("x",), ("y",)
    types = {"y": NUMBER}  # noqa: RUF012  as above

    def __init__(self, off: float) -> None:
        self.off = off

    def one(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"y": row["x"]}

    def many(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(pl.col("x").alias("y") + self.off)


def test_a_declared_tolerance_is_allowed_and_no_more() -> None:
    rows, types = [{"x": 1.0}, {"x": 1.5}], {"x": NUMBER}
    check_step(Scores(0.0), rows, types)
    check_step(Scores(2**-51), rows, types, ulps=2)
    for ulps in (0, 1):
        with pytest.raises(AssertionError, match=r"`one` gives 1\.0, `many` gives 1\.0000000000000004"):
            check_step(Scores(2**-51), rows, types, ulps)


def test_a_sign_of_zero_is_a_difference() -> None:
    class Signed(Scores):
        def many(self, frame: pl.DataFrame) -> pl.DataFrame:
            return frame.select((pl.col("x") * -1).alias("y"))

    with pytest.raises(AssertionError, match=r"`one` gives 0\.0, `many` gives -0\.0"):
        check_step(Signed(0), [{"x": 0.0}], {"x": NUMBER})


def test_intervals_are_compared_with_their_bounds() -> None:
    class Widens:
        name, reads, writes = "widens", ("s",), ("t",)
        types = {"t": SCORE}  # noqa: RUF012  as above

        def one(self, row: dict[str, Any]) -> dict[str, Any]:
            return {"t": row["s"]}

        def many(self, frame: pl.DataFrame) -> pl.DataFrame:
            rows = [
                {"t": Interval(v.low, 99, v.cause) if isinstance(v := row["s"], Interval) else v} for row in unpack(frame, {"s": SCORE})
            ]
            return pack(rows, self.types)

    check_step(Widens(), [{"s": 3}], {"s": SCORE})
    with pytest.raises(AssertionError, match=r"high=9, .* high=99"):
        check_step(Widens(), [{"s": Interval(3, 9, "undecided")}], {"s": SCORE})


def test_a_long_report_is_cut() -> None:
    with pytest.raises(AssertionError, match=r"\.\.\. and \d+ more"):
        check_step(Scores(1.0), [{"x": float(n)} for n in range(20)], {"x": NUMBER})
