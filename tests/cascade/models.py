"""A workspace whose cascade asks two models: that of the other cascade tests, a LightGBM booster and an IsolationForest trained on made-up
payments, and rules that weigh what they say."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

import numpy as np
import polars as pl

from engine.models.packing import matrix, package_model

WORKSPACE = Path(__file__).parent / "workspace"
TEXTS = {
    "deployment.yaml": "allow: [sklearn.tree._tree.Tree]\n",
    "rulesets/aml/judgement.rules": """
ruleset aml/judgement version 1.0.0
  "What points and models come to"
  record bank/transaction ^1

input points: integer
input risk: number
input odd: number optional
input structuring: flag optional

rule JUDGE-01 "Structuring is always blocked" when structuring then score 100 on missing ignore
rule JUDGE-02 "The model is sure" when risk >= 0.8 then score 50, flag risky because "risk is {risk}"
rule JUDGE-03 "Points, or an odd payment" when points >= 30 or odd >= 0.55 then score 20

decide outcome first match
  block   when score >= 100
  review  when score >= 20
  approve otherwise
""",
    "cascades/scored.yaml": """
cascade: aml/scored
version: 1.0.0
record: bank/transaction@^1
steps:
  profile: {features: aml/profile@^1}
  cash: {rules: aml/cash@^1.4}
  geo: {rules: aml/geography@^2, when: "amount > 50 USD"}
  risk:
    model: aml/fraud@1.0.0
    with: {amount: amount, points: cash.score, incoming: 'direction = "in"'}
    when: cash.score < 100
    otherwise: {probability: 1.0}
    on_missing: {probability: 0.9}
  second:
    model: aml/odd@1.0.0
    with: {first: risk.probability, amount: amount}
    when: risk.probability between 0.3 and 0.95
    otherwise: {score: 0.0}
  verdict:
    rules: aml/judgement@^1
    with: {points: cash.score + geo.score, risk: risk.probability, odd: second.score, structuring: cash.flags.structuring}
decision: verdict
""",
}


@cache
def scored() -> Path:
    """The path of the cascade ``scored.yaml``, in a workspace of its own, made once a process."""
    folder = Path(mkdtemp(prefix="kaskade-models-"))
    shutil.copytree(WORKSPACE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("bad"))
    for name, text in TEXTS.items():
        (folder / name).write_text(text.lstrip("\n"), encoding="utf-8")
    fraud(folder)
    odd(folder)
    return folder / "cascades" / "scored.yaml"


def fraud(folder: Path) -> None:
    """A LightGBM booster that reads money, a score and a flag that may be missing; package ``aml/fraud``."""
    import lightgbm

    random = Random(7)
    rows: list[dict[str, Any]] = [
        {
            "amount": round(random.uniform(0, 20_000), 2),
            "points": random.choice([0, 40, 60]),
            "incoming": random.choice([True, False, None]),
        }
        for _ in range(150)
    ]
    bad = [int(row["amount"] > 9_000 and row["incoming"] is not False) for row in rows]
    sample, inputs = pl.DataFrame(rows), {"amount": "money USD"}
    data = lightgbm.Dataset(matrix(sample, inputs=inputs), bad, feature_name=sample.columns)
    booster = lightgbm.train({"objective": "binary", "num_leaves": 5, "verbose": -1, "num_threads": 1}, data, 20)
    package_model(booster, name="aml/fraud", version="1.0.0", sample=sample, folder=folder, inputs=inputs)


def odd(folder: Path) -> None:
    """An IsolationForest over a model's output and money; package ``aml/odd``."""
    from sklearn.ensemble import IsolationForest

    values = np.random.default_rng(7).normal([0.2, 500.0], [0.1, 300.0], (60, 2)).round(2)
    sample = pl.DataFrame(values, schema=["first", "amount"])
    forest = IsolationForest(n_estimators=5, random_state=1).fit(values)
    inputs = {"amount": "money USD"}
    package_model(forest, name="aml/odd", version="1.0.0", sample=sample, folder=folder, inputs=inputs, outputs=["score"], narrow=True)
