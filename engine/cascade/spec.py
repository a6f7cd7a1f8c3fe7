"""What a cascade file says, as it stands, with the place of every word. Nothing is resolved here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.diagnostics import Span


@dataclass(frozen=True, slots=True)
class Placed:
    """A scalar of the file with its place; `text` is what stands there, `value` what YAML makes of it."""

    value: Any
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Reference:
    """``aml/cash@^1.4``."""

    name: str
    range: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One step. `kind` is rules, features, model or cascade. `renames` is the YAML key ``with``."""

    name: str
    kind: str
    component: Reference
    span: Span
    renames: Mapping[str, Placed] = field(default_factory=dict)
    when: Placed | None = None
    otherwise: Mapping[str, Placed] = field(default_factory=dict)
    on_missing: Mapping[str, Placed] = field(default_factory=dict)
    places: Mapping[str, Span] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CascadeSpec:
    name: str
    version: str
    record: Reference
    steps: tuple[StepSpec, ...]
    decision: Placed
    title: str | None
    file: str
    span: Span
