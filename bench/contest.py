"""Workload W, everybody in turns: one event and a million rows, every answer compared first. Prints medians and ratios, writes results.

python -m bench.contest [--rows 1000000] [--rounds 7] [--only events rows rules json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench import dialects, frames
from bench.workload import COLUMNS, Workload, events, workload, write
from engine import Engine

RESULTS = Path(__file__).parent / "results"
EVENTS = 10_000
Answer = tuple[str, int, list[str]]


@dataclass
class Contest:
    """Contenders that answer alike, measured in turns: seconds of CPU a round, each divided by `units`."""

    title: str
    units: int
    against: str
    work: dict[str, Callable[[], Any]]
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def run(self, rounds: int, seldom: Mapping[str, int] = {}) -> Contest:
        """Every contender once a round; those in `seldom` do so many times less of the work in each."""
        for _ in range(rounds):
            for name, work in self.work.items():
                start = time.process_time()
                work()
                spent = (time.process_time() - start) * seldom.get(name, 1)
                self.seconds.setdefault(name, []).append(spent / self.units)
        return self

    def medians(self) -> dict[str, float]:
        return {name: statistics.median(found) for name, found in self.seconds.items()}

    def table(self, scale: float, unit: str) -> str:
        medians = self.medians()
        lines = [f"\n{self.title}, {unit} of CPU, medians; load {os.getloadavg()[0]:.1f}", ""]
        for name, median in sorted(medians.items(), key=lambda one: one[1]):
            least = min(self.seconds[name])
            lines.append(f"{median * scale:>12,.2f}  least {least * scale:>10,.2f}  x {median / medians[self.against]:>7.2f}  {name}")
        return "\n".join(lines)


# --- one event -------------------------------------------------------------------------------------------------------


def each(ask: Callable[[Any], Any], given: list[Any]) -> Callable[[], None]:
    """Ask about one after the other; no answer is kept."""

    def work() -> None:
        for one in given:
            ask(one)

    return work


def load(work: Workload, folder: Path) -> Engine:
    return Engine.load(write(folder, work))


def ours(engine: Engine) -> Callable[[Mapping[str, Any]], Answer]:
    def answer(event: Mapping[str, Any]) -> Answer:
        decision = engine.decide(event)
        return decision.outcome, decision.score, list(decision.hits)

    return answer


def peers(work: Workload) -> dict[str, tuple[Callable[[Mapping[str, Any]], Any], Callable[[Any], list[str]], int]]:
    """Rule engines that are installed: how one event is decided, how the rules hit are read off that, how much seldomer they are asked."""
    found: dict[str, tuple[Callable[[Mapping[str, Any]], Any], Callable[[Any], list[str]], int]] = {}
    ids = [rule.id for rule in work.rules]
    try:
        import zen
    except ImportError:
        print("zen-engine is not installed: left out")
    else:
        whole = zen.compile_expression(dialects.zen_list(work))
        alone = [zen.compile_expression(dialects.expression(dialects.leaves(rule.when), zen=True)) for rule in work.rules]
        table = zen.ZenEngine().create_decision(json.dumps(dialects.zen_table(work)))
        found["ZEN, one expression that gives a list"] = (
            whole.evaluate,
            lambda said: [i for i, one in zip(ids, said, strict=True) if one],
            10,
        )
        found["ZEN, a decision table"] = (table.evaluate, lambda said: [one["hit"] for one in said["result"]], 100)
        one_each = lambda event: [one.evaluate(event) for one in alone]  # noqa: E731  # one line says it
        found["ZEN, an expression a rule"] = (one_each, lambda said: [i for i, one in zip(ids, said, strict=True) if one is True], 100)
    try:
        import rule_engine
    except ImportError:
        print("rule-engine is not installed: left out")
    else:
        rules = [rule_engine.Rule(dialects.expression(dialects.leaves(rule.when), zen=False)) for rule in work.rules]
        matches = lambda event: [one.matches(event) for one in rules]  # noqa: E731  # one line says it
        found["rule-engine, a rule each"] = (matches, lambda said: [i for i, one in zip(ids, said, strict=True) if one], 100)
    return found


def one_event(work: Workload, engine: Engine, missing: float, rounds: int) -> Contest:
    """The same events for everybody; peers get the columns only."""
    given = list(events(EVENTS, missing=missing))
    hands = {"by hand": dialects.by_hand(work)}
    if not missing:
        hands["by hand, without a look for what is missing"] = dialects.by_hand(work, guarded=False)
    wanted = [hands["by hand"](event) for event in given]
    answer, points = ours(engine), {rule.id: rule.points for rule in work.rules}
    for event, want in zip(given, wanted, strict=True):
        assert answer(event) == want, event["id"]
    contest = Contest(f"one event, {len(work.rules)} rules, {missing:.0%} of fields missing", EVENTS, "by hand", {})
    decide = engine.decide
    contest.work["kaskade, a whole decision"] = each(decide, given)
    for name, hand in hands.items():
        contest.work[name] = each(hand, given)
    seldom = {}
    for name, (ask, hits, times) in peers(work).items():
        bare = [{column: event[column] for column in COLUMNS} for event in given[::times]]
        for event, (_, score, want) in zip(bare, wanted[::times], strict=True):
            found = hits(ask(event))
            assert found == want and sum(points[one] for one in found) == score, (name, found, want)
        contest.work[name] = each(ask, bare)
        seldom[name] = times
    return contest.run(rounds, seldom)


def growth(folder: Path, rounds: int) -> Contest:
    """More rules of the mix, one event with nothing missing; 10,000 rules stand in two rule sets."""
    given = list(events(2_000, missing=0.0))
    contest = Contest("one event, so many rules", len(given), "100 rules", {})
    for count in (100, 1_000, 10_000):
        start = time.process_time()
        engine = load(workload(count), folder / str(count))
        loaded = time.process_time() - start
        engine.decide(given[0])
        print(f"{count:,} rules: loaded in {loaded:.1f} s, compiled in {time.process_time() - start - loaded:.2f} s of CPU")
        contest.work[f"{count:,} rules"] = each(engine.decide, given)
    return contest.run(rounds)


def as_json(engine: Engine, missing: float, rounds: int) -> Contest:
    """From JSON to JSON, against the decision alone and msgspec's reading and writing of the same bytes."""
    import msgspec

    encoder, decoder = msgspec.json.Encoder(), msgspec.json.Decoder()
    given = list(events(2_000, missing=missing))
    texts = [encoder.encode(event) for event in given]
    contest = Contest(f"from JSON to a decision to JSON, {missing:.0%} of fields missing", len(given), "the decision alone", {})
    decide = engine.decide
    contest.work["the decision alone"] = each(decide, given)
    contest.work["msgspec, read and write"] = each(lambda text: encoder.encode(decoder.decode(text)), texts)
    contest.work["bytes to decision to bytes"] = each(lambda text: decide(text).brief(), texts)
    return contest.run(rounds)


# --- results ---------------------------------------------------------------------------------------------------------


def installed(*names: str) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def kept(contests: list[Contest]) -> Path:
    """What was seen, as JSON."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{time.strftime('%Y-%m-%dT%H%M%S')}.json"
    about = {"python": platform.python_version(), "processors": os.cpu_count(), "load": os.getloadavg(), "machine": platform.machine()}
    said = [{"title": one.title, "against": one.against, "seconds": one.seconds, "medians": one.medians()} for one in contests]
    versions = installed("zen-engine", "rule-engine", "duckdb", "polars", "msgspec")
    path.write_text(json.dumps({"about": about, "versions": versions, "contests": said}, indent=1) + "\n", encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure Workload W against its peers.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=("events", "rows", "rules", "json"), default=("events", "rows", "rules", "json"))
    args = parser.parse_args()
    found: list[Contest] = []

    def show(contest: Contest, scale: float = 1e6, unit: str = "microseconds an event") -> None:
        print(contest.table(scale, unit), flush=True)
        found.append(contest)

    with tempfile.TemporaryDirectory() as folder:
        work = workload()
        engine = load(work, Path(folder) / "w")
        if "events" in args.only:
            for missing in (0.0, 0.05):
                show(one_event(work, engine, missing, args.rounds))
        if "json" in args.only:
            for missing in (0.0, 0.05):
                show(as_json(engine, missing, args.rounds))
        if "rules" in args.only:
            show(growth(Path(folder), args.rounds))
        if "rows" in args.only:
            title, contenders = frames.contenders(work, engine, args.rows)
            show(Contest(title, 1, "polars, an expression a rule", contenders).run(args.rounds), 1e3, "milliseconds")
    print(f"\nkept in {kept(found)}")


if __name__ == "__main__":
    main()
