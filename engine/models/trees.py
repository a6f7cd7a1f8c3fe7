"""scikit-learn's trees and forests for one row: all trees walked at once, through the arrays they were fitted into.

The library takes milliseconds for a row, nearly all of them before and after its trees. The walk gives the same bits, or is not used:
it is held against the estimator on points at and beside thresholds whenever a model is opened. It imports no library but numpy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.models.adapter import Matrix

    Row = NDArray[np.float64]
    Walk = Callable[[bytes], Sequence[float]]

_MEANS: Final = ("RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor")
_TREES: Final = ("DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor")
_ISOLATION: Final = "IsolationForest"
_POINTS: Final = 256
"""At how many points a walk is held against the estimator."""


def walk(estimator: Any, many: Callable[[Matrix], Matrix]) -> Walk | None:
    """A function of a row's floats in bytes that gives the bits `many` gives, or none for what is no tree or forest that can be walked."""
    name = type(estimator).__name__
    if not type(estimator).__module__.startswith("sklearn.") or name not in (*_MEANS, *_TREES, _ISOLATION):
        return None
    try:
        found = _isolation(estimator) if name == _ISOLATION else _mean(estimator, name in _MEANS)
    except (AttributeError, KeyError, ValueError):
        # another release keeps its trees otherwise
        return None
    if found is None:
        return None
    walked = found if estimator.__sklearn_tags__().input_tags.allow_nan else _without_gaps(found, many)
    return walked if _agree(estimator, walked, many) else None


def _without_gaps(walked: Walk, many: Callable[[Matrix], Matrix]) -> Walk:
    """The walk for rows that miss nothing; of others the estimator has its own say."""
    import numpy as np

    def packed(row: bytes) -> Sequence[float]:
        values = np.frombuffer(row)
        if not np.isnan(values).any():
            return walked(row)
        scores: list[float] = many(values.reshape(1, -1))[0].tolist()
        return scores

    return packed


def _mean(estimator: Any, several: bool) -> Walk | None:
    """A tree, or a forest that gives the mean of its trees."""
    trees = estimator.estimators_ if several else [estimator]
    values = [tree.tree_.value for tree in trees]
    if any(value.shape[1] != 1 for value in values):
        return None  # several targets
    table, stacked, count = _joined([value[:, 0, :] for value in values]), _Stacked([tree.tree_ for tree in trees]), float(len(trees))
    # of two classes the second
    wanted = slice(1, None) if table.shape[1] == 2 else slice(None)

    def packed(row: bytes) -> Sequence[float]:
        sums = _added(table, stacked.leaves(row))
        scores: list[float] = (sums / count if several else sums)[wanted].tolist()
        return scores

    return packed


def _isolation(estimator: Any) -> Walk | None:
    """An isolation forest: how long the way to a leaf is, summed over its trees."""
    import numpy as np

    lengths, more = estimator._decision_path_lengths, estimator._average_path_length_per_tree
    usual = vars(sys.modules[type(estimator).__module__])["_average_path_length"]([estimator._max_samples])
    divisor = len(estimator.estimators_) * usual
    if not divisor.all():
        return None
    chosen = None if estimator._max_features == estimator.n_features_in_ else estimator.estimators_features_
    stacked = _Stacked([tree.tree_ for tree in estimator.estimators_], chosen)
    table = _joined([(one + other - 1.0).reshape(-1, 1) for one, other in zip(lengths, more, strict=True)])

    def packed(row: bytes) -> Sequence[float]:
        scores: list[float] = (2 ** -np.divide(_added(table, stacked.leaves(row)), divisor)).tolist()
        return scores

    return packed


def _joined(parts: list[Any]) -> Matrix:
    """A value for every node of every tree (nodes × outputs), each twice, as `_Stacked` counts them."""
    import numpy as np

    return np.repeat(np.concatenate(parts).astype(np.float64), 2, axis=0)


def _added(table: Matrix, leaves: Any) -> Row:
    """The leaves' values added up in the order of the trees, as the library does."""
    import numpy as np

    sums: Row = np.add.accumulate(table.take(leaves, axis=0), axis=0)[-1]
    return sums


class _Stacked:
    """The nodes of all trees one after the other. A node is known by twice its place; where a value is above its threshold the way leads to
    what stands one further. A leaf leads to itself."""

    def __init__(self, trees: Sequence[Any], chosen: Sequence[Any] | None = None) -> None:
        import numpy as np

        counts = [tree.node_count for tree in trees]
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        self.roots, self.depth = 2 * starts, max(tree.max_depth for tree in trees)
        features, thresholds, lefts, ways = [], [], [], []
        for place, (tree, start) in enumerate(zip(trees, starts.tolist(), strict=True)):
            leaf, own = tree.children_left < 0, np.arange(tree.node_count)
            feature = np.where(leaf, 0, tree.feature)
            features.append(feature if chosen is None else np.asarray(chosen[place])[feature])
            thresholds.append(np.where(leaf, np.inf, tree.threshold))
            lefts.append(leaf | (tree.missing_go_to_left != 0))
            ways += [start + np.where(leaf, own, child) for child in (tree.children_left, tree.children_right)]
        self.feature = np.repeat(np.concatenate(features), 2)
        self.threshold = np.repeat(np.concatenate(thresholds), 2)
        self.missing_left = np.repeat(np.concatenate(lefts), 2)
        self.next = 2 * np.stack([np.concatenate(ways[::2]), np.concatenate(ways[1::2])], axis=1).reshape(-1)

    def leaves(self, row: bytes) -> Any:
        """The leaf of every tree that a row comes to. Values are read as 32-bit floats, as the library reads them."""
        import numpy as np

        values, nodes = np.frombuffer(row).astype(np.float32).astype(np.float64), self.roots
        gaps = np.isnan(values)
        with_gaps = gaps.any()
        for _ in range(self.depth):
            features = self.feature.take(nodes)
            above = values.take(features) > self.threshold.take(nodes)
            if with_gaps:
                above |= gaps.take(features) & ~self.missing_left.take(nodes)
            nodes = self.next.take(nodes + above)
        return nodes


def _agree(estimator: Any, walked: Walk, many: Callable[[Matrix], Matrix]) -> bool:
    """Whether the walk gives the estimator's bits at thresholds, one float beside them, and where values are missing."""
    import numpy as np

    points = thresholds_of(estimator, _POINTS)
    wanted = many(points)
    got = np.array([walked(point.tobytes()) for point in points])
    return np.array_equal(got, wanted, equal_nan=True)


def thresholds_of(estimator: Any, count: int) -> Matrix:
    """`count` rows whose values are thresholds of the trees, or one 32-bit float below or above; in some of them values are missing."""
    import numpy as np

    width, trees = estimator.n_features_in_, getattr(estimator, "estimators_", [estimator])
    chosen = getattr(estimator, "estimators_features_", [np.arange(width)] * len(trees))
    features = np.concatenate([np.asarray(names)[np.maximum(tree.tree_.feature, 0)] for tree, names in zip(trees, chosen, strict=True)])
    near = np.concatenate([tree.tree_.threshold for tree in trees]).astype(np.float32)
    inner = np.concatenate([tree.tree_.children_left >= 0 for tree in trees]) & np.isfinite(near)
    random, points = np.random.default_rng(0), np.zeros((count, width))
    for feature in range(width):
        at = near[inner & (features == feature)]
        if at.size:
            beside = np.stack([at, np.nextafter(at, np.float32(-np.inf)), np.nextafter(at, np.float32(np.inf))])
            points[:, feature] = random.choice(beside[np.isfinite(beside)], count)
    points[random.integers(0, count, count // 4), random.integers(0, width, count // 4)] = np.nan
    return points
