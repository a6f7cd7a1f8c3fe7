"""The exceptions, for trouble in code, environment or a single call; what people write gets diagnostics instead.
EngineError
├── SourceError      rule files, cascades or packages that do not check; carries every diagnostic
├── InputError       an event that cannot be decided at all: no key, no time, key sent twice with other content
├── ModelError       a model package that must not be used: golden rows differ, a pickle, a missing library
├── StoreError       history that cannot be read or written; `StoreDown`: for now, and decisions go on without it
├── LedgerError      a ledger that cannot be read, or was altered
└── RegistryError    a registry, lock or bundle that cannot be read or trusted, or a version that may not be published
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.diagnostics import Diagnostic


class EngineError(Exception):
    """Root of all errors this library raises on purpose."""


class SourceError(EngineError):
    """What people wrote does not check. `diagnostics` holds every problem, sorted by place."""

    def __init__(self, diagnostics: Sequence[Diagnostic], text: str) -> None:
        super().__init__(text)
        self.diagnostics = tuple(diagnostics)


class InputError(EngineError):
    """An event that cannot be ordered or decided; the message says which field and why."""


class ModelError(EngineError):
    """A model package that must not be used."""


class StoreError(EngineError):
    """History that cannot be read or written."""


class StoreDown(StoreError):
    """History that cannot be read or written for now: its store cannot be reached, is full, or answers too slowly."""


class LedgerError(EngineError):
    """A ledger that cannot be read, or whose chain does not hold."""


class RegistryError(EngineError):
    """A registry, a lock or a bundle that cannot be read, written or trusted; or a component that may not be published."""
