"""Train the isolation forest of council/audit on the purchases of 2014 and package it into `models/council/anomaly/1.0.0`.

Run it from anywhere, with the models extra installed: ``python examples/purchase_cards/train_anomaly.py``. History comes from the
engine itself, so that the model is trained on the very values it will be given. The seed makes it repeatable on one machine; bytes may
differ between libraries.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import polars as pl
from sklearn.ensemble import IsolationForest

from engine import Engine, package_model
from engine.models.packing import matrix

HERE = Path(__file__).resolve().parent
MONTHS = "2014-*.csv.gz"
HISTORY_FROM = "2014-04-01"
SEED, TREES, ROWS_A_TREE = 20140401, 50, 256
TYPES = dict.fromkeys(("amount", "spent_7d", "largest_30d"), "money GBP")
SAMPLE = 2_000


def payments() -> pl.DataFrame:
    """The published rows of 2014 as text, with the file and the place in it that make their key."""
    frames = []
    for path in sorted(HERE.glob(MONTHS)):
        frame = pl.read_csv(path, infer_schema=False)
        file = pl.lit(path.name).alias("file")
        frames.append(frame.with_columns(file, pl.int_range(1, frame.height + 1).alias("row")))
    return pl.concat(frames, how="diagonal")


def training_rows() -> pl.DataFrame:
    """The model's inputs, amounts in pounds, for the rows that council/training takes."""
    rows = payments()
    decided = Engine.load(HERE / "cascades" / "training.yaml").decide_batch(rows, values=True, history_from=HISTORY_FROM)
    if decided.rejects.height:
        raise SystemExit(f"{decided.rejects.height} rows of the training months cannot be decided")
    inputs = pl.DataFrame(
        {
            "amount": rows["ORIGINAL GROSS AMT"].cast(pl.Decimal(18, 2)),
            "spent_7d": pounds(decided["card_history.spent_7d"]),
            "uses_7d": decided["card_history.uses_7d"],
            "largest_30d": pounds(decided["card_history.largest_30d"]),
            "sellers_today": decided["card_history.sellers_today"],
            "weekday": decided["time"].dt.weekday().cast(pl.Int64),
        }
    )
    return inputs.filter(decided["outcome"] == "train")


def pounds(pence: pl.Series) -> pl.Series:
    """Money as the engine holds it, in whole pence, in exact pounds."""
    return pl.Series([None if n is None else Decimal(n).scaleb(-2) for n in pence], dtype=pl.Decimal(18, 2))


def main() -> None:
    rows = training_rows()
    forest = IsolationForest(n_estimators=TREES, max_samples=ROWS_A_TREE, random_state=SEED)
    forest.fit(matrix(rows, inputs=TYPES))
    folder = package_model(
        forest,
        name="council/anomaly",
        version="1.0.0",
        folder=HERE,
        sample=rows.sample(SAMPLE, seed=SEED),
        inputs=TYPES,
        outputs={"score": (0.0, 1.0)},
        golden="within 8 ulp",  # powers of two come out a little different on another processor
        narrow=True,  # a penny more or less in 100,000 GBP does not matter here
        trained={"rows": rows.height, "from": "2014-05-01", "to": "2014-12-31", "seed": SEED, "script": Path(__file__).name},
    )
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"trained on {rows.height:,} purchases, wrote {folder.relative_to(HERE)} ({size / 1024:,.0f} KiB)")


if __name__ == "__main__":
    main()
