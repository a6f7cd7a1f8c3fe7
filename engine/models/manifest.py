"""`model.yaml` as data: read strictly, held against its JSON Schema, written back. It opens no other file and knows no library.

Anchors, tags and doubled keys are refused; whatever is wrong is a `ModelError` that names all of it in one line.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from engine.diagnostics import suggest
from engine.errors import ModelError
from engine.models.adapter import Input, Output, Signature
from engine.models.encode import parse_type
from engine.resources import grammar_text

MAX_BYTES = 4_000_000
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a package says of itself. `batch` and `golden` are tolerances as text, `files` maps names to sha256."""

    name: str
    version: str
    kind: str
    file: str
    signature: Signature
    batch: str
    golden: str
    files: Mapping[str, str]
    environment: Mapping[str, Any]
    training: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def tolerance(text: str) -> int | None:
    """The ulps a text allows; none for ``row by row``.

    >>> tolerance("exact"), tolerance("within 4 ulp"), tolerance("row by row")
    (0, 4, None)
    """
    return {"exact": 0, "row by row": None}[text] if " ulp" not in text else int(text.split()[1])


class _Loader(yaml.SafeLoader):
    """Safe YAML without anchors and doubled keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML has no types here
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise yaml.YAMLError("anchors and aliases are not allowed here")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = Counter(str(key.value) for key, _ in node.value)
        twice = [key for key, count in keys.items() if count > 1]
        if twice:
            raise yaml.YAMLError(f"the key `{twice[0]}` stands twice")
        return super().construct_mapping(node, deep)


def read(text: str, file: str) -> Manifest:
    """The manifest in a text; `file` is how messages call it. Raises `ModelError` with everything that is wrong."""
    if len(text) > MAX_BYTES:
        raise ModelError(f"`{file}` has more than {MAX_BYTES:,} characters")
    try:
        data = yaml.load(text, Loader=_Loader)
    except RecursionError as error:
        raise ModelError(f"`{file}` cannot be read: it is nested too deep") from error
    except (yaml.YAMLError, ValueError) as error:
        number = "a number or date in it cannot be read" if isinstance(error, ValueError) else str(error)
        problem = getattr(error, "problem", None) or number
        raise ModelError(f"`{file}` cannot be read: {_one_line(problem)}") from error
    problems = list(dict.fromkeys(_against_schema(data))) or list(_against_sense(data))
    if problems:
        more = f"; and {len(problems) - _SHOWN:,} more" if len(problems) > _SHOWN else ""
        raise ModelError(f"`{file}`: " + "; ".join(problems[:_SHOWN]) + more)
    return _manifest(data)


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")[:200]


@functools.cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(grammar_text("model.schema.json"))
    return schema


def _against_schema(data: Any) -> Iterator[str]:
    import jsonschema

    for error in jsonschema.Draft202012Validator(_schema()).iter_errors(data):
        path = ".".join(str(part) for part in error.absolute_path)
        if error.validator == "additionalProperties":
            allowed = error.schema.get("properties", {})
            unknown = (key for key in error.instance if key not in allowed)
            yield from (f"unknown key `{key}`" + _hint(key, allowed) for key in unknown)
        elif error.validator == "required":
            lost = [key for key in error.validator_value if key not in error.instance]
            yield f"`{path or 'the file'}` lacks " + ", ".join(f"`{key}`" for key in lost)
        else:
            given = error.instance if isinstance(error.instance, str) else json.dumps(error.instance, ensure_ascii=False, default=str)
            shown = " ".join(given.split())[:60]
            yield f"`{path or 'the file'}` must be {error.schema['description']}, not `{shown}`"


def _hint(key: Any, allowed: Mapping[str, Any]) -> str:
    hint = suggest(str(key), allowed)
    return f", {hint}" if hint else ""


def _against_sense(data: Mapping[str, Any]) -> Iterator[str]:
    """What the schema cannot say."""
    for what in ("inputs", "outputs"):
        names = Counter(item["name"] for item in data[what])
        yield from (f"two {what} are called `{name}`" for name, count in names.items() if count > 1)
    for item in data["inputs"]:
        codes = item.get("codes", [])
        if parse_type(item["type"]) is None:
            yield f"input `{item['name']}` has the unknown type `{item['type']}`"
        elif (item["type"] == "text") != bool(codes):
            yield f"input `{item['name']}` " + ("is a text and needs `codes`" if not codes else "is no text and takes no `codes`")
        elif len(set(codes)) < len(codes):
            yield f"input `{item['name']}` has a code twice"
    if data["file"] not in data["files"]:
        yield f"`files` does not name `{data['file']}`"


def _manifest(data: Mapping[str, Any]) -> Manifest:
    inputs = tuple(
        Input(i["name"], _type(i["type"]), i.get("missing", False), tuple(i.get("codes", ())), i.get("unseen", "missing"))
        for i in data["inputs"]
    )
    outputs = tuple(Output(o["name"], _range(o.get("range"))) for o in data["outputs"])
    signature = Signature(data["method"], inputs, outputs)
    head = (data["model"], data["version"], data["kind"], data["file"])
    return Manifest(*head, signature, data["batch"], data["golden"], data["files"], data["environment"], data.get("training", {}))


def _type(text: str) -> Any:
    type_ = parse_type(text)
    assert type_ is not None  # checked before
    return type_


def _range(given: list[float] | None) -> tuple[float, float] | None:
    return None if given is None else (float(given[0]), float(given[1]))


def write(manifest: Manifest) -> str:
    """The text of `model.yaml`; `read` gives the same manifest back."""
    data = {
        "model": manifest.name,
        "version": manifest.version,
        "kind": manifest.kind,
        "file": manifest.file,
        "method": manifest.signature.method,
        "inputs": [_input(declared) for declared in manifest.signature.inputs],
        "outputs": [_output(declared) for declared in manifest.signature.outputs],
        "batch": manifest.batch,
        "golden": manifest.golden,
        "files": dict(manifest.files),
        "environment": dict(manifest.environment),
        "training": dict(manifest.training),
    }
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


class _Dumper(yaml.SafeDumper):
    """Writes a value out wherever it stands."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _input(declared: Input) -> dict[str, Any]:
    data: dict[str, Any] = {"name": declared.name, "type": str(declared.type), "missing": declared.missing}
    return data | ({"unseen": declared.unseen, "codes": list(declared.codes)} if declared.codes else {})


def _output(declared: Output) -> dict[str, Any]:
    return {"name": declared.name, "type": "number"} | ({} if declared.range is None else {"range": list(declared.range)})
