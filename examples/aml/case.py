"""One case seen whole, offline: what networkx finds around an account in the transfers of AMLSim.

Run it from anywhere: ``python examples/aml/case.py 19972 --until 2017-02-22``. It takes the transfers of some days among the accounts near
this one, and tells its neighbours, the group it belongs to, and the cycles of up to four hops in which money came back to it. Features
count such cycles event by event; a case wants to see them.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import polars as pl

HERE = Path(__file__).resolve().parent


def transfers(until: dt.date, days: int) -> pl.DataFrame:
    """The transfers of so many days up to and with one, in order of arrival."""
    wanted = (pl.col("day") <= until) & (pl.col("day") > until - dt.timedelta(days=days))
    return pl.read_csv(HERE / "transfers.csv.gz", try_parse_dates=True).filter(wanted).sort("day", maintain_order=True)


def network(rows: pl.DataFrame) -> nx.MultiDiGraph:
    """One edge a transfer, with its place in the order of arrival as key."""
    graph = nx.MultiDiGraph()
    for place, (source, target, value, day) in enumerate(rows.select("sourceNodeId", "targetNodeId", "value", "day").iter_rows()):
        graph.add_edge(source, target, key=place, value=value, day=day)
    return graph


def cycles(graph: nx.MultiDiGraph, account: int, hops: int) -> Iterator[list[tuple[int, int, int]]]:
    """The cycles through an account whose transfers follow one another, as edges; each once, with the transfers that come first."""
    for circle in nx.simple_cycles(nx.DiGraph(graph), length_bound=hops):
        if account in circle and len(circle) > 1:
            turns = (circle[turn:] + circle[:turn] for turn in range(len(circle)))
            yield from [edges for turn in turns if (edges := in_order(graph, turn)) is not None][:1]


def in_order(graph: nx.MultiDiGraph, circle: list[int]) -> list[tuple[int, int, int]] | None:
    """For each hop of a circle that begins with its first account the earliest transfer after the one before; none where there is none."""
    edges: list[tuple[int, int, int]] = []
    for source, target in zip(circle, [*circle[1:], circle[0]], strict=True):
        later = [place for place in graph[source][target] if not edges or place > edges[-1][2]]
        if not later:
            return None
        edges.append((source, target, min(later)))
    return edges


def tell(account: int, until: dt.date, days: int, hops: int) -> Iterator[str]:
    """A case in a few lines. No account of a cycle is further away than half its hops."""
    graph = network(transfers(until, days))
    if account not in graph:
        raise SystemExit(f"account {account} has no transfers in the {days} days up to {until}")
    steps = hops // 2
    near = graph.subgraph(nx.ego_graph(graph.to_undirected(as_view=True), account, radius=steps))
    paid_by, paid = len(graph.pred[account]), len(graph.succ[account])
    yield f"{account}: paid by {paid_by} accounts, paid {paid}; {len(near)} accounts within {steps} steps"
    group = next(group for group in nx.community.louvain_communities(nx.Graph(near), seed=0) if account in group)
    busiest = sorted(sorted(group), key=near.degree, reverse=True)[:5]
    yield f"its group has {len(group)} accounts; the busiest are {', '.join(map(str, busiest))}"
    found = list(cycles(near, account, hops))
    yield f"{len(found)} cycles of up to {hops} hops"
    for edges in found:
        told = [f"{near.edges[edge]['day']} {edge[0]} -> {edge[1]} {near.edges[edge]['value']:.2f}" for edge in edges]
        yield "  " + ", ".join(told)


def main() -> None:
    arguments = argparse.ArgumentParser(description="one case, seen whole")
    arguments.add_argument("account", type=int)
    arguments.add_argument("--until", type=dt.date.fromisoformat, default=dt.date(2017, 5, 30))
    arguments.add_argument("--days", type=int, default=30)
    arguments.add_argument("--hops", type=int, default=4)
    given = arguments.parse_args()
    for line in tell(given.account, given.until, given.days, given.hops):
        print(line)


if __name__ == "__main__":
    main()
