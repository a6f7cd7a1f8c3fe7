"""A model as a step of a plan: reads typed columns, writes numbers, and says what it lacked where it could not score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.models.adapter import Scorer
from engine.models.inline import compile_one
from engine.models.package import Model
from engine.plan import POLICY, Row
from engine.values import FLAG, NUMBER, Missing, Type, Value, number

if TYPE_CHECKING:
    from polars import DataFrame


class ModelStep:
    """Scores a model under the name of a cascade's step: output ``probability`` of step ``risk`` is the column ``risk.probability``.

    `inputs` maps every input of the model to a column. A row in which an input that must be there is missing has its outputs missing
    with that input's cause, or `on_missing` (output -> number) where that is given; not so in the `open_` reading. With `on_missing`
    the flag column ``risk.@policy`` says in which rows it stood in. An output that is not finite is missing, cause `overflow`.

    >>> import polars as pl, tempfile
    >>> from sklearn.linear_model import LinearRegression
    >>> from engine.models.package import load
    >>> from engine.models.packing import package_model
    >>> sample = pl.DataFrame({"amount": [1.5, 2.5, 4.5]})
    >>> estimator = LinearRegression().fit(sample, [3.0, 5.0, 9.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     named = {"name": "aml/double", "version": "1.0.0", "inputs": {"amount": "money USD"}}
    ...     model = load(package_model(estimator, sample=sample, folder=folder, **named))
    >>> step = ModelStep("twice", model, {"amount": "amount"})
    >>> round(step.one({"amount": 1200})["twice.value"], 9)
    24.0
    """

    def __init__(
        self, name: str, model: Model, inputs: Mapping[str, str], on_missing: Mapping[str, float] | None = None, open_: bool = False
    ) -> None:
        self.name, self.model = name, model
        self.columns = tuple(inputs[declared.name] for declared in model.inputs)
        self.reads = tuple(dict.fromkeys(self.columns))
        self.outputs = tuple(f"{name}.{output.name}" for output in model.outputs)
        self.policy = f"{name}.{POLICY}" if on_missing else None
        instead = {} if open_ or not on_missing else on_missing
        self.fallback = tuple(instead.get(output.name) for output in model.outputs)
        self.types: Mapping[str, Type] = dict.fromkeys(self.outputs, NUMBER) | ({self.policy: FLAG} if self.policy else {})
        self.writes = tuple(self.types)
        self._encoders = tuple(zip(model.encoders, self.columns, strict=True))
        self.one = self._compiled()

    @property
    def ulps(self) -> int:
        """How far `many` may lie from `one`: 0, unless the package declares more."""
        return self.model.ulps

    def _compiled(self) -> Callable[[Row], Row]:
        model, given = self.model, tuple(zip(self.model.inputs, self.columns, strict=True))
        title = f"{self.name}: {model.name}@{model.version}"
        return compile_one(title, given, model.width, model.scorer, self.outputs, self.policy, self._careful)

    def ask(self, scorer: Scorer) -> None:
        """From now on ask this scorer instead of the model's own, as a replay does."""
        self.model = replace(self.model, scorer=scorer)
        self.one = self._compiled()

    def _careful(self, row: Row) -> Row:
        """`one` for any row, input by input."""
        values, lack = [], None
        for encode, column in self._encoders:
            value = encode(row[column])
            if value.__class__ is not Missing:
                values.append(value)
            elif lack is None or value.rank < lack.rank:
                lack = value
        if lack is not None:
            return self._lacking(lack)
        scores: Row = {column: number(score) for column, score in zip(self.outputs, self.model.scorer.one(values), strict=True)}
        return scores | {self.policy: False} if self.policy else scores

    def lacking(self, row: Row) -> tuple[str, ...]:
        """The columns for which nothing can be scored in this row."""
        return tuple(column for encode, column in self._encoders if encode(row[column]).__class__ is Missing)

    def _lacking(self, lack: Missing) -> Row:
        given = self.fallback
        row: Row = {column: lack if instead is None else instead for column, instead in zip(self.outputs, given, strict=True)}
        return row | {self.policy: any(instead is not None for instead in given)} if self.policy else row

    def many(self, frame: DataFrame) -> DataFrame:
        # loads polars and numpy: only batch runs come here
        from engine.models import columnar

        encoded = columnar.encode(frame, self.model.inputs, self.columns, self.model.width)
        scores = self.model.many(encoded.scorable())
        outputs = columnar.scored(encoded, scores, self.outputs, self.fallback)
        if self.policy is None:
            return outputs
        applied = (encoded.lacks > 0) & any(instead is not None for instead in self.fallback)
        return outputs.hstack(columnar.flagged(self.policy, applied))

    def contributions(self, row: Row) -> dict[str, float] | None:
        """`Model.contributions` of a row of the cascade."""
        return self.model.contributions({declared.name: row[c] for declared, c in zip(self.model.inputs, self.columns, strict=True)})


class Recorded:
    """A step whose outputs are taken from the record of one decision instead of being computed again."""

    def __init__(self, step: ModelStep, values: Mapping[str, Value]) -> None:
        self.name, self.reads, self.writes, self.types = step.name, step.reads, step.writes, step.types
        self.values: Row = {column: values[column] for column in step.writes}

    def one(self, row: Row) -> Row:
        return dict(self.values)

    def many(self, frame: DataFrame) -> DataFrame:
        from engine.backends.columnar import pack

        return pack([self.values] * frame.height, self.types)
