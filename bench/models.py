"""Models inside cascades beside their libraries alone: one row, batches, a gate, threads. What is compared must be equal. See README.md."""

from __future__ import annotations

import argparse
import ctypes
import statistics
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine import Engine
from engine.cli.main import main as command
from engine.models.lightgbm import Booster
from engine.models.lightgbm_row import FastRow
from engine.models.package import load
from engine.models.packing import package_model
from engine.models.step import ModelStep
from engine.run.event import decide

Matrix = NDArray[np.float64]
MANY = 10_000
FEATURES = tuple(f"f{place}" for place in range(30))
TREES_ALLOWED = frozenset({"sklearn.tree._tree.Tree", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"})
TEXTS = {
    "rulesets/bench/payment.rules": """record bench/payment version 1.0.0
  zone "UTC"
  key id
  time at
  field id: text
  field at: datetime
  field amount: integer
"""
    + "".join(f"  field {name}: number\n" for name in FEATURES),
    "rulesets/bench/verdict.rules": """ruleset bench/verdict version 1.0.0
  "What a score comes to"
  record bench/payment ^1

input risk: number

rule RISK-01 "The model is sure" when risk >= 0.8 then score 50

decide outcome first match
  review  when score >= 50
  approve otherwise
""",
}
MODEL = "  risk:\n    model: bench/gbm@1.0.0\n"
GATE = "    when: amount >= 950\n    otherwise: {probability: 0.0}\n"
CASCADES = {"without": ("", "f0"), "scored": (MODEL, "risk.probability"), "gated": (MODEL + GATE, "risk.probability")}


def data(rows: int, seed: int = 1) -> tuple[Matrix, NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(rows, len(FEATURES)))
    return matrix, (matrix[:, 0] * matrix[:, 1] + matrix[:, 2] + random.normal(size=rows) > 1).astype(np.int64)


def gbm(trees: int) -> Any:
    """A LightGBM model of trees with 31 leaves over 30 features."""
    matrix, bad = data(20_000)
    dataset = lightgbm.Dataset(matrix, bad, feature_name=list(FEATURES))
    return lightgbm.train({"objective": "binary", "num_leaves": 31, "verbose": -1, "seed": 1}, dataset, trees)


def workspace(folder: Path, trees: int) -> Any:
    """Three cascades over one model; its booster."""
    booster = gbm(trees)
    package_model(booster, name="bench/gbm", version="1.0.0", sample=pl.DataFrame(data(2_000)[0], schema=list(FEATURES)), folder=folder)
    for name, text in TEXTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "cascades").mkdir()
    for name, (step, risk) in CASCADES.items():
        head = f"cascade: bench/{name}\nversion: 1.0.0\nrecord: bench/payment@^1\nsteps:\n{step}"
        (folder / f"cascades/{name}.yaml").write_text(
            head + f"  verdict: {{rules: bench/verdict@^1, with: {{risk: {risk}}}}}\ndecision: verdict\n"
        )
    return booster


def payments(rows: int) -> pl.DataFrame:
    matrix, _ = data(rows, 2)
    amounts = np.random.default_rng(3).integers(0, 1_000, rows)
    when = pl.Series("at", 1_772_000_000_000_000 + np.arange(rows) * 1_000_000).cast(pl.Datetime("us", "UTC"))
    keys = pl.Series("id", [f"P{place}" for place in range(rows)])
    return pl.DataFrame([keys, when, pl.Series("amount", amounts)]).hstack(pl.DataFrame(matrix, schema=list(FEATURES)))


Ways = dict[str, tuple[Callable[[], object], int]]


def table(title: str, ways: Ways, rounds: int, of: str | None = None) -> dict[str, float]:
    """Run the ways in turns and print medians: microseconds a row (each way says how many it takes) by the clock and by CPU, and how
    many times those of `of`. Gives the CPU of each."""
    # what idle threads of a library spin away is not counted where there is one row
    clock = time.process_time if max(rows for _, rows in ways.values()) > MANY else time.thread_time
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (way, _) in ways.items():
            begin, worked = time.perf_counter(), clock()
            way()
            times[name].append((time.perf_counter() - begin, clock() - worked))
    medians = {name: [statistics.median(part) / ways[name][1] * 1e6 for part in zip(*found, strict=True)] for name, found in times.items()}
    base = medians[of or next(iter(ways))]
    print(f"\n{title}\n{'':44} {'us a row':>10} {'CPU us':>10} {'times':>7} {'by CPU':>7}")
    for name, (wall, cpu) in medians.items():
        print(f"{name:44} {wall:>10.2f} {cpu:>10.2f} {wall / base[0]:>7.2f} {cpu / base[1]:>7.2f}", flush=True)
    return {name: cpu for name, (_, cpu) in medians.items()}


# --- LightGBM, one row ------------------------------------------------------------------------------------------------


def alone(booster: Any, rows: Matrix) -> Callable[[int], Any]:
    """The C library's single-row fast call and nothing else, of a row by number: its arguments are there, its answer is not read."""
    lib = vars(lightgbm.basic)["_LIB"]
    row, call = FastRow(lib, booster), lib.LGBM_BoosterPredictForMatSingleRowFast
    handle, length, out = row.call
    packed = [(ctypes.c_double * rows.shape[1])(*values) for values in rows.tolist()]
    return lambda number, row=row: call(handle, packed[number], length, out)


def one_row(folder: Path, rounds: int) -> None:
    booster, count = workspace(folder, 200), 2_000
    matrix = data(count, 2)[0]
    engines = {name: Engine.load(folder / f"cascades/{name}.yaml") for name in ("without", "scored")}
    without, scored = engines["without"].plan, engines["scored"].plan
    step = engines["scored"].linked.models[0].step
    rows = [{**row, "at": 0, "now": 0, "@date": 0} for row in payments(count).to_dicts()]
    wanted = booster.predict(matrix).tolist()
    assert [step.one(row)["risk.probability"] for row in rows] == wanted
    assert [decide(scored, row)[0]["risk.probability"] for row in rows] == wanted
    call = alone(lightgbm.Booster(model_str=booster.model_to_string()), matrix)
    calls, first = "the C library's fast call", "the cascade without a model"
    found = table(
        "LightGBM, 200 trees x 31 leaves, 30 features, one row",
        {
            calls: (lambda: [call(number) for number in range(count)], count),
            "the step": (lambda: [step.one(row) for row in rows], count),
            first: (lambda: [decide(without, row) for row in rows], count),
            f"{first}, then the call": (lambda: [(decide(without, row), call(number)) for number, row in enumerate(rows)], count),
            "the cascade with the model": (lambda: [decide(scored, row) for row in rows], count),
            "Booster.predict": (lambda: [booster.predict(matrix[i : i + 1]) for i in range(100)], 100),
        },
        rounds,
    )
    more = found["the cascade with the model"] - found[first]
    print(f"the model inside the cascade, with less without: {more / found[calls]:.2f} times the call by itself, ", end="")
    print(f"{more / (found[f'{first}, then the call'] - found[first]):.2f} times the call between decisions")


# --- batches ----------------------------------------------------------------------------------------------------------


def estimators(rows: int) -> Iterable[tuple[str, Any, Callable[[Matrix], Any]]]:
    """What is measured in batch: a name, the fitted model, and its library's bare call."""
    from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier
    from sklearn.tree import DecisionTreeClassifier

    matrix, bad = data(20_000)
    booster = gbm(200)
    yield "LightGBM, 200 trees", booster, lightgbm.Booster(model_str=booster.model_to_string()).predict
    fitted = RandomForestClassifier(100, min_samples_leaf=20, random_state=1).fit(matrix, bad)
    yield "random forest, 100 trees", fitted, lambda x: fitted.predict_proba(x)[:, 1]
    tree = DecisionTreeClassifier(min_samples_leaf=20, random_state=1).fit(matrix, bad)
    yield "decision tree", tree, lambda x: tree.predict_proba(x)[:, 1]
    odd = IsolationForest(n_estimators=100, random_state=1).fit(matrix)
    yield "isolation forest, 100 trees", odd, lambda x: -odd.score_samples(x)
    hist = HistGradientBoostingClassifier(max_iter=100, random_state=1).fit(matrix, bad)
    yield "histogram gradient boosting, 100 trees", hist, lambda x: hist.predict_proba(x)[:, 1]


def batch(folder: Path, rounds: int, rows: int) -> None:
    matrix = data(rows, 2)[0]
    sample = pl.DataFrame(data(2_000)[0], schema=list(FEATURES))
    frame = pl.DataFrame(matrix, schema=list(FEATURES)).with_columns(pl.lit(0, pl.UInt8).alias(f"{name}#") for name in FEATURES)
    for place, (name, fitted, bare) in enumerate(estimators(rows)):
        path = package_model(fitted, name=f"bench/m{place}", version="1.0.0", sample=sample, folder=folder)
        step = ModelStep("m", load(path, allow=TREES_ALLOWED), {feature: feature for feature in FEATURES})
        few = matrix[:200]
        typed = [dict(zip(FEATURES, values, strict=True)) for values in few.tolist()]
        scores = step.many(frame)
        assert (scores.to_series().to_numpy() == bare(matrix)).all(), name
        assert [next(iter(step.one(row).values())) for row in typed] == scores.to_series()[:200].to_list(), name
        table(
            f"{name}: a frame of {rows:,} rows",
            {"the library's own call": (lambda: bare(matrix), rows), "the step": (lambda: step.many(frame), rows)},  # noqa: B023  used in its turn
            rounds,
        )
        table(
            f"{name}: one row",
            {
                "the library's own call": (lambda: [bare(few[i : i + 1]) for i in range(50)], 50),  # noqa: B023
                "the step": (lambda: [step.one(row) for row in typed], len(typed)),  # noqa: B023
            },
            rounds,
        )


# --- a gate -----------------------------------------------------------------------------------------------------------


def gate(folder: Path, rounds: int, rows: int) -> None:
    workspace(folder, 1_000)
    frame = payments(rows)
    frame.write_parquet(folder / "payments.parquet")
    engines = {name: Engine.load(folder / f"cascades/{name}.yaml") for name in CASCADES}
    found = {name: engine.decide_batch(frame, values=True)["risk.probability"] for name, engine in engines.items() if name != "without"}
    reached = frame["amount"] >= 950
    assert (found["gated"].filter(reached) == found["scored"].filter(reached)).all() and (found["gated"].filter(~reached) == 0).all()
    print(f"\n{reached.mean():.1%} of {rows:,} rows reach a model of 1,000 trees, and score there as without the gate")
    table("decide_batch", {name: (lambda e=engine: e.decide_batch(frame), rows) for name, engine in engines.items()}, rounds, "gated")
    table("engine run, Parquet to Parquet", {name: (lambda n=name: run(folder, n), rows) for name in engines}, rounds, "gated")


def run(folder: Path, cascade: str) -> None:
    """The command itself, in this process."""
    given = ["--input", str(folder / "payments.parquet"), "--output", str(folder / "out.parquet"), "--rejects", str(folder / "rejects.csv")]
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        command(["run", str(folder / f"cascades/{cascade}.yaml"), *given])


# --- threads ----------------------------------------------------------------------------------------------------------


def threads(folder: Path, calls: int, count: int = 8) -> None:
    """Every answer of every thread is compared with `Booster.predict`."""
    booster = workspace(folder, 200)
    scorer = Booster(lightgbm.Booster(model_str=booster.model_to_string()))
    matrix = data(10_000, 2)[0]
    rows = [struct.pack(f"{len(FEATURES)}d", *values) for values in matrix.tolist()]
    wanted = booster.predict(matrix).tolist()
    wrong = [0] * count

    def work(thread: int) -> None:
        done, places = 0, range(len(rows))
        while done < calls // count:
            wrong[thread] += sum(scorer.packed(rows[place])[0] != wanted[place] for place in places)
            done += len(rows)

    workers = [threading.Thread(target=work, args=(thread,)) for thread in range(count)]
    begin = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(f"\n{calls:,} calls by {count} threads at once in {time.perf_counter() - begin:,.0f} s: {sum(wrong)} wrong")
    if sum(wrong):
        raise SystemExit("a thread was given another row's score")


def main() -> None:
    parser = argparse.ArgumentParser(description="Models inside cascades, beside their libraries alone.")
    parser.add_argument("parts", nargs="*", default=["one", "batch", "gate", "threads"], choices=["one", "batch", "gate", "threads"])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=10_000_000)
    given: Any = parser.parse_args()
    for part in given.parts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            {
                "one": lambda: one_row(folder, given.rounds),  # noqa: B023
                "batch": lambda: batch(folder, given.rounds, given.rows),  # noqa: B023
                "gate": lambda: gate(folder, given.rounds, given.rows),  # noqa: B023
                "threads": lambda: threads(folder, given.calls),  # noqa: B023
            }[part]()


if __name__ == "__main__":
    main()
