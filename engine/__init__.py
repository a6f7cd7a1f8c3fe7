"""Kaskade: rules that read aloud, models and history in one versioned cascade; the same answer for one event and for millions."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.api import Engine
    from engine.diagnostics import Diagnostic, Span
    from engine.errors import EngineError, InputError, SourceError
    from engine.ledger.decision import Decision
    from engine.models.packing import package_model
    from engine.plan import Step
    from engine.rerun import replay
    from engine.testkit.sources import check
    from engine.testkit.sources import formatted as format
    from engine.values import MISSING
    from engine.version import LANGUAGE_VERSION
    from engine.version import VERSION as __version__

__all__ = [
    "LANGUAGE_VERSION",
    "MISSING",
    "Decision",
    "Diagnostic",
    "Engine",
    "EngineError",
    "InputError",
    "SourceError",
    "Span",
    "Step",
    "__version__",
    "check",
    "format",
    "package_model",
    "replay",
]

_HOME = {
    "LANGUAGE_VERSION": ("engine.version", "LANGUAGE_VERSION"),
    "MISSING": ("engine.values", "MISSING"),
    "Decision": ("engine.ledger.decision", "Decision"),
    "Diagnostic": ("engine.diagnostics", "Diagnostic"),
    "Engine": ("engine.api", "Engine"),
    "EngineError": ("engine.errors", "EngineError"),
    "InputError": ("engine.errors", "InputError"),
    "SourceError": ("engine.errors", "SourceError"),
    "Span": ("engine.diagnostics", "Span"),
    "Step": ("engine.plan", "Step"),
    "__version__": ("engine.version", "VERSION"),
    "check": ("engine.testkit.sources", "check"),
    "format": ("engine.testkit.sources", "formatted"),
    "package_model": ("engine.models.packing", "package_model"),
    "replay": ("engine.rerun", "replay"),
}


def __getattr__(name: str) -> Any:
    # a name is fetched from its home when it is first asked for, so that `import engine` costs nothing
    if name not in _HOME:
        raise AttributeError(f"module `engine` has no `{name}`")
    module, attribute = _HOME[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
