"""Which models one decision asked, with what, and what they said: read off the rows it recorded, for the ledger."""

from __future__ import annotations

from collections.abc import Iterator

from engine.cascade.link import Linked, ModelView
from engine.cascade.wiring import GATE
from engine.ledger.decision import Decision
from engine.ledger.log import Call
from engine.plan import Row
from engine.values import Missing


def model_calls(linked: Linked, decision: Decision) -> tuple[Call, ...]:
    """Every call of a model in either reading, each once. What a gate shut out, or what lacked an input, is no call."""
    rows = [decision.row] if decision.open_row is decision.row else [decision.row, decision.open_row]
    calls = [call for row in rows for view in linked.models for call in _calls(view, dict(row))]
    return tuple({repr(call): call for call in calls}.values())


def _calls(view: ModelView, row: Row) -> Iterator[Call]:
    for nested in view.path:
        if not _reached(nested.name, row):
            return
        row = nested.restore(row)
    step = view.step
    if not _reached(step.name, row):
        return
    inputs = {declared.name: row[column] for declared, column in zip(step.model.inputs, step.columns, strict=True)}
    if any(encode(value).__class__ is Missing for encode, value in zip(step.model.encoders, inputs.values(), strict=True)):
        return
    outputs = {declared.name: row[column] for declared, column in zip(step.model.outputs, step.outputs, strict=True)}
    yield Call(f"{step.model.name}@{step.model.version}", inputs, outputs)


def _reached(step: str, row: Row) -> bool:
    """Whether the gate before a step, if there is one, let the row through."""
    return row.get(f"{step}.{GATE}", True) is True
