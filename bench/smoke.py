"""Whether deciding one event is still fast: ratios within one process, each the least of several short rounds, with wide bounds.

python -m bench.smoke
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench import dialects
from bench.contest import Contest, as_json, each, load, ours, peers
from bench.workload import COLUMNS, events, workload

ROUNDS = 15


def least(contest: Contest) -> dict[str, float]:
    """Other work on the machine only adds."""
    return {name: min(found) for name, found in contest.run(ROUNDS).seconds.items()}


def ratios(folder: Path) -> dict[str, tuple[float, float]]:
    """What is measured: the ratio seen, and the most it may be; what is aimed at is half of that."""
    work = workload()
    engine, more, hand = load(work, folder / "few"), load(workload(1_000), folder / "many"), dialects.by_hand(work)
    found: dict[str, tuple[float, float]] = {}
    for missing, most in ((0.0, 4.0), (0.05, 8.0)):
        given = list(events(300, missing=missing))
        assert [ours(engine)(event) for event in given] == [hand(event) for event in given]
        contest = Contest("", len(given), "", {"hand": each(hand, given), "ours": each(engine.decide, given)})
        if not missing:
            contest.work["more"] = each(more.decide, given)
        seen = least(contest)
        found[f"a decision against code written by hand, {missing:.0%} missing"] = (seen["ours"] / seen["hand"], most)
        if not missing:
            found["ten times as many rules"] = (seen["more"] / seen["ours"], 5.0)
            found |= against_zen(given, seen["ours"])
    seen = least(as_json(engine, 0.05, 1))
    both = seen["the decision alone"] + seen["msgspec, read and write"]
    found["JSON to JSON, against the decision and msgspec"] = (seen["bytes to decision to bytes"] / both, 4.0)
    return found


def against_zen(given: list[dict[str, object]], ours: float) -> dict[str, tuple[float, float]]:
    """The fastest form of ZEN, where it is installed."""
    name = "ZEN, one expression that gives a list"
    found = peers(workload()).get(name)
    if found is None:
        return {}
    bare = [{column: event[column] for column in COLUMNS} for event in given[::10]]
    seen = least(Contest("", len(bare), "", {name: each(found[0], bare)}))
    return {"a decision against ZEN's fastest form": (ours / seen[name], 0.5)}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = ratios(Path(folder))
    for name, (ratio, most) in found.items():
        print(f"{ratio:>6.2f} of at most {most:>4.1f}  {name}")
    slow = [name for name, (ratio, most) in found.items() if ratio > most]
    if slow:
        print(f"too slow: {', '.join(slow)}; `make bench` shows more", file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
