"""Train the classifier of amlsim/triage on the first two months of transfers and package it into `models/amlsim/first_steps/1.0.0`.

Run it from anywhere, with the models extra installed: ``python examples/aml/train_model.py``. Rule states and history come from the
engine's own run of amlsim/typologies, so that the model is trained on the very values it will be given. What is learnt: whether a
transfer is made on the day on which its payer begins to launder. One thread and fixed seeds: trained twice, the bytes are the same.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Collection
from pathlib import Path

import lightgbm
import polars as pl

from engine import Engine, package_model
from engine.models.packing import matrix

HERE = Path(__file__).resolve().parent
HISTORY_FROM = "2016-01-01"
FIRST_DAY = dt.date(2017, 1, 1)
TRAIN_TO = dt.date(2017, 2, 28)
GAP = 35
"""Days left out after training: the longest window that an input looks back over (28 days ending 7 days ago)."""
FEATURES = ("payers_30d", "payees_30d", "partners_30d", "parts_today", "sent_7d", "sent_before")
RULES = ("FANIN-01", "FANIN-02", "FANOUT-01", "SPLIT-01", "VELOCITY-01")
"""Rules whose windows fit into the gap. None reads an amount: in this simulation amounts give the answer away."""
NAMES = {rule: rule.lower().replace("-", "_") for rule in RULES}
TREES, FOLDS = 80, 4
PARAMS = {
    "objective": "binary",
    "num_leaves": 8,
    "learning_rate": 0.05,
    "min_data_in_leaf": 50,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 20170228,
    "verbose": -1,
}


def transfers() -> pl.DataFrame:
    return pl.read_csv(HERE / "transfers.csv.gz", infer_schema=False)


def decided(rows: pl.DataFrame, cascade: str = "typologies") -> pl.DataFrame:
    """Every transfer with what rules and features made of it, and its two accounts."""
    engine = Engine.load(HERE / "cascades" / f"{cascade}.yaml")
    decisions = engine.decide_batch(rows, detail="names", values=True, history_from=HISTORY_FROM)
    if decisions.rejects.height:
        raise SystemExit(f"{decisions.rejects.height} transfers cannot be decided")
    roles = rows.select(pl.col("sourceNodeId").alias("payer"), pl.col("targetNodeId").alias("payee"))
    return pl.concat([decisions, roles], how="horizontal")


def begun(rows: pl.DataFrame) -> pl.DataFrame:
    """Of each transfer's payer: the `day` on which he began to launder, if he did; `known` is false where he did, nobody knows when."""
    accounts = pl.read_csv(HERE / "accounts.csv.gz", schema_overrides={"nodeid": pl.String})
    guilty = accounts.filter(pl.col("isFraud") == 1).select("nodeid", "fraudStep")
    found = rows.select("payer", "time").join(guilty, left_on="payer", right_on="nodeid", how="left", maintain_order="left")
    day = pl.lit(FIRST_DAY) + pl.duration(days="fraudStep")
    return found.select(day=pl.when(pl.col("fraudStep") > 0).then(day), known=pl.col("fraudStep").fill_null(0) >= 0)


def inputs(rows: pl.DataFrame, without: Collection[str] = ()) -> pl.DataFrame:
    """What the model reads, a column an input."""
    counts = [pl.col(f"account.{name}").alias(name) for name in FEATURES]
    states = [pl.col("hits").list.contains(rule).alias(name) for rule, name in NAMES.items()]
    return rows.select(*counts, *states).drop(without)


def training(rows: pl.DataFrame) -> pl.DataFrame:
    """The transfers up to the last day of training, with `first`: whether the payer begins that day. Who had begun before is left out."""
    label = begun(rows)
    first = (label["day"] == rows["time"]).fill_null(False)
    usable = (rows["time"] <= TRAIN_TO) & label["known"] & ~(label["day"] < rows["time"]).fill_null(False)
    return rows.with_columns(first=first).filter(usable)


def fit(rows: pl.DataFrame, without: Collection[str] = ()) -> lightgbm.Booster:
    data = lightgbm.Dataset(matrix(inputs(rows, without)), rows["first"].cast(pl.Float64).to_numpy())
    return lightgbm.train(PARAMS, data, num_boost_round=TREES)


def out_of_fold(rows: pl.DataFrame) -> pl.Series:
    """For each transfer of training the probability by a model that never saw its payer: what thresholds are chosen on."""
    fold = rows["payer"].cast(pl.Int64) % FOLDS
    parts = []
    for place in range(FOLDS):
        held = rows.filter(fold == place)
        parts.append(held.select("key", probability=pl.Series(fit(rows.filter(fold != place)).predict(matrix(inputs(held))))))
    return rows.select("key").join(pl.concat(parts), on="key", how="left", maintain_order="left")["probability"]


def package(rows: pl.DataFrame, folder: Path) -> Path:
    """Train on these rows and write the package below a folder."""
    sample = inputs(rows)
    facts = {
        "rows": rows.height,
        "positive": int(rows["first"].sum()),
        "from": str(rows["time"].min()),
        "to": str(TRAIN_TO),
        "gap_days": GAP,
        "seed": PARAMS["seed"],
        "script": Path(__file__).name,
    }
    return package_model(
        fit(rows),
        name="amlsim/first_steps",
        version="1.0.0",
        folder=folder,
        sample=sample,
        outputs={"probability": (0.0, 1.0)},
        trained=facts,
    )


def main() -> None:
    given = argparse.ArgumentParser(description="train the model of amlsim/triage and package it")
    given.add_argument("--folder", type=Path, default=HERE, help="the workspace to write models/ into")
    rows = training(decided(transfers()))
    folder = package(rows, given.parse_args().folder)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"trained on {rows.height:,} transfers, {rows['first'].sum()} of them first steps; wrote {folder} ({size / 1024:,.0f} KiB)")


if __name__ == "__main__":
    main()
