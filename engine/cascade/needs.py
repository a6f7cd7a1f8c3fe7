"""What a component asks for, as its file says it: kinds, names and ranges. Nothing is looked up."""

from __future__ import annotations

from typing import Final

from engine.cascade.spec import CascadeSpec
from engine.lang import ast
from engine.registry.published import Need

_KINDS: Final = {"rules": "ruleset", "features": "features", "model": "model", "cascade": "cascade"}


def of_file(tree: ast.File) -> tuple[Need, ...]:
    """What a rule file asks for, by kind and name."""
    return tuple(sorted({Need(use.kind, use.path, use.range) for use in tree.uses}, key=str))


def of_cascade(spec: CascadeSpec) -> tuple[Need, ...]:
    """What a cascade asks for: its record, and the component of every step."""
    needs = {Need("record", spec.record.name, spec.record.range)}
    needs |= {Need(_KINDS[step.kind], step.component.name, step.component.range) for step in spec.steps}
    return tuple(sorted(needs, key=str))
