"""How well the plain rules find the accounts that AMLSim labelled: the table of the README, computed anew.

Run it from anywhere: ``python examples/aml/evaluate.py``. A rule accuses the accounts that stand in the transfers it is hit on, in the
roles it speaks of. Precision is how many of those are labelled, recall how many of the labelled are among them.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from engine import Engine

HERE = Path(__file__).resolve().parent
HISTORY_FROM = "2016-01-01"
BOTH = ("payer", "payee")
ACCUSED = {
    "FANIN-01": ("payee",),
    "FANIN-02": ("payee",),
    "FANOUT-01": ("payer",),
    "SPLIT-01": BOTH,
    "PASS-01": ("payer",),
    "DORMANT-01": ("payer",),
    "VELOCITY-01": ("payer",),
    "AVERAGE-01": BOTH,
}
HEAD = "| rule | accuses | transfers hit | accounts accused | precision | recall |\n|---|---|---:|---:|---:|---:|"


def decided() -> pl.DataFrame:
    """Every transfer with the names of the rules it hit, its outcome, and its two accounts."""
    transfers = pl.read_csv(HERE / "transfers.csv.gz", infer_schema=False)
    decisions = Engine.load(HERE / "cascades" / "typologies.yaml").decide_batch(transfers, detail="names", history_from=HISTORY_FROM)
    if decisions.rejects.height:
        raise SystemExit(f"{decisions.rejects.height} transfers cannot be decided")
    roles = transfers.select(pl.col("sourceNodeId").alias("payer"), pl.col("targetNodeId").alias("payee"))
    return pl.concat([decisions.select("hits", "outcome"), roles], how="horizontal")


def labelled() -> set[str]:
    accounts = pl.read_csv(HERE / "accounts.csv.gz", infer_schema=False)
    return set(accounts.filter(pl.col("isFraud") == "1")["nodeid"])


def table() -> str:
    rows, wanted = decided(), labelled()
    lines = [HEAD]
    for rule, roles in ACCUSED.items():
        lines.append(_line(rule, rows.filter(pl.col("hits").list.contains(rule)), roles, wanted))
    for outcome in ("report", "review"):
        lines.append(_line(f"outcome `{outcome}`", rows.filter(pl.col("outcome") == outcome), BOTH, wanted))
    return "\n".join(lines)


def _line(name: str, hit: pl.DataFrame, roles: tuple[str, ...], wanted: set[str]) -> str:
    accused = {account for role in roles for account in hit[role]}
    right = len(accused & wanted)
    precision = f"{right / len(accused):.2f}" if accused else "–"
    return f"| {name} | {' and '.join(roles)} | {hit.height:,} | {len(accused):,} | {precision} | {right / len(wanted):.2f} |"


if __name__ == "__main__":
    print(table())
