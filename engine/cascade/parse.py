"""Cascade text -> `CascadeSpec`: YAML with places, held against the JSON Schema. The only reader of YAML; it resolves no name.

Anchors, aliases, tags and several documents are refused: a cascade is read by people, and an alias can grow without bound.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator
from typing import Any

import yaml

from engine.cascade.spec import CascadeSpec, Placed, Reference, StepSpec
from engine.diagnostics import Diagnostic, Span, nearest, suggest
from engine.lang.source import YAML_BEGINS, check_text
from engine.registry.manifest import REFERENCE
from engine.resources import grammar_text

KINDS = ("rules", "features", "model", "cascade")
MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_PROBLEMS = 200
_SCALARS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool")

Path = tuple[str, ...]


class _Loader(yaml.SafeLoader):
    """Keeps ``1.10`` as written and reads only true and false as flags; no dates."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (the base class declares it so)
        letter: [(tag, pattern) for tag, pattern in resolvers if tag in (*_SCALARS, "tag:yaml.org,2002:null")]
        for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def parse(text: str, file: str) -> tuple[CascadeSpec | None, list[Diagnostic]]:
    """The cascade a text describes, and everything wrong with its form. `file` is the name used in places.

    A key that nobody knows is an error and hides nothing: the cascade is given as it is without it, or as the key was probably meant.

    >>> parse("cascade: a/b\\n", "b.yaml")[1][0].code
    'cascade-key-missing'
    """
    node, problems = _compose(text, file)
    if node is None:
        return None, problems
    places: dict[Path, Span] = {}
    scalars: dict[Path, Placed] = {}
    data = _plain(node, (), file, places, scalars, problems)
    unknown = list(_unknown_keys(data, places, scalars))
    found = _held_against_schema(data, places | {path: placed.span for path, placed in scalars.items()}, places)
    problems += itertools.islice(found, MAX_PROBLEMS)
    stopped = any(problem.severity == "error" for problem in problems)
    return None if stopped else _spec(data, file, places, scalars), [*unknown[:MAX_PROBLEMS], *problems]


def parse_deployment(text: str, file: str) -> tuple[frozenset[str], list[Diagnostic]]:
    """The types that model archives may hold, from a workspace's ``deployment.yaml``: ``allow: [sklearn.tree._tree.Tree]``.

    >>> parse_deployment("allow: [a.B]", "deployment.yaml")[0]
    frozenset({'a.B'})
    """
    node, problems = _compose(text, file)
    if node is None:
        return frozenset(), problems
    places: dict[Path, Span] = {}
    data = _plain(node, (), file, places, {}, problems)
    for key in sorted(set(data) - {"allow"}) if isinstance(data, dict) else ():
        hint = suggest(key, ["allow"]) or "a deployment file holds one list, `allow`"
        problems.append(Diagnostic("deployment", f"unknown key `{key}`", places[(key,)], hint=hint))
    allow = data.get("allow", []) if isinstance(data, dict) else None
    if not isinstance(allow, list) or not all(isinstance(name, str) for name in allow):
        hint = "write `allow:` and a list of type names"
        problems.append(Diagnostic("deployment", "a deployment file holds one list, `allow`", places[()], hint=hint))
        return frozenset(), problems
    return frozenset(allow), problems


def _span(file: str, mark: Any, end: Any = None) -> Span:
    """The place of a YAML mark, up to another one on the same line."""
    stop = end.column + 1 if end is not None and end.line == mark.line else 0
    return Span(file, mark.line + 1, mark.column + 1, stop)


def _compose(text: str, file: str) -> tuple[yaml.Node | None, list[Diagnostic]]:
    top = Span(file, 1, 1, 2)
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        return None, [Diagnostic("cascade-too-large", f"this file has more than {MAX_BYTES:,} bytes", top, hint="split it into several")]
    if not text.strip("\0 \t\r\n"):
        return None, [Diagnostic("empty-file", "the file is empty", top, hint=YAML_BEGINS)]
    if hidden := check_text(text, file):
        return None, hidden
    try:
        problems = _forbidden(text, file)
        return (None, problems) if problems else (yaml.compose(text, Loader=_Loader), [])
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = (error.problem or "this is not YAML").replace("\n", " ").rstrip(".")
        return None, [Diagnostic("yaml", f"the YAML cannot be read: {problem}", _span(file, mark) if mark else top)]
    except yaml.YAMLError as error:
        return None, [Diagnostic("yaml", f"the YAML cannot be read: {str(error).splitlines()[0].rstrip('.')}", top)]


def _forbidden(text: str, file: str) -> list[Diagnostic]:
    """What YAML allows and a cascade does not, found in the stream of events before anything is built."""
    problems, depth, documents = [], 0, 0
    for event in yaml.parse(text, Loader=_Loader):
        place = _span(file, event.start_mark, event.end_mark)
        if getattr(event, "anchor", None) and not isinstance(event, yaml.AliasEvent):  # an alias alone cannot be: it needs its anchor
            problems.append(Diagnostic("yaml-anchor", "anchors and aliases are not allowed here", place, hint="write the value out"))
        if tag := getattr(event, "tag", None):
            problems.append(Diagnostic("yaml-tag", f"the tag `{tag}` is not allowed here", place))
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if depth > MAX_DEPTH:
            return [*problems, Diagnostic("yaml-too-deep", f"more than {MAX_DEPTH} levels of nesting", place)]
        if documents > 1:
            return [
                *problems,
                Diagnostic("yaml-documents", "a file holds one cascade", place, hint="put the second one into a file of its own"),
            ]
    return problems


def _plain(
    node: yaml.Node, path: Path, file: str, places: dict[Path, Span], scalars: dict[Path, Placed], problems: list[Diagnostic]
) -> Any:
    """The node as plain data, noting the place of every key and value."""
    places.setdefault(path, _span(file, node.start_mark, node.end_mark))
    if isinstance(node, yaml.MappingNode):
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                problems.append(Diagnostic("yaml", "a key is one word", _span(file, key_node.start_mark, key_node.end_mark)))
                continue
            key, place = str(key_node.value), _span(file, key_node.start_mark, key_node.end_mark)
            inner = (*path, key)
            if key in data:
                first = (("first given here", places[inner]),)
                problems.append(Diagnostic("duplicate-key", f"the key `{key}` stands twice", place, related=first))
                continue
            places[inner] = place
            data[key] = _plain(value_node, inner, file, places, scalars, problems)
        return data
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, str(i)), file, places, scalars, problems) for i, item in enumerate(node.value)]
    try:
        value = _Loader("").construct_object(node)
    except ValueError:
        problems.append(
            Diagnostic("yaml", "this number cannot be read", _span(file, node.start_mark, node.end_mark), hint="write fewer digits")
        )
        value = None
    scalars[path] = Placed(value, node.value, _span(file, node.start_mark, node.end_mark))
    # an expression such as `amount` and a version such as 1.0 stay text
    return value


@functools.cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(grammar_text("cascade.schema.json"))
    return schema


def _held_against_schema(data: Any, values: dict[Path, Span], places: dict[Path, Span]) -> Iterator[Diagnostic]:
    """Every way in which the data do not fit; `values` are the places of values, `places` those of keys."""
    import jsonschema

    validator = jsonschema.Draft202012Validator(_schema())
    for error in validator.iter_errors(data):
        path = tuple(str(part) for part in error.absolute_path)
        place = values.get(path, places[()])
        if "propertyNames" in error.schema_path:
            hint = "use small letters, digits and underscores, beginning with a letter"
            yield Diagnostic(
                "cascade-value", f"a step cannot be called `{error.instance}`", places[(*path, str(error.instance))], hint=hint
            )
        elif error.validator == "required":
            lost = str(error.message).split("'")[1]
            yield Diagnostic("cascade-key-missing", f"the key `{lost}` is not there", place, hint=f"add `{lost}: ...`")
        else:
            yield Diagnostic("cascade-value", _wrong_value(error, path), place, hint=_how(error, path))
    if isinstance(data, dict) and isinstance(data.get("steps"), dict):
        yield from _one_kind_each(data["steps"], places)


def _unknown_keys(data: Any, places: dict[Path, Span], scalars: dict[Path, Placed]) -> Iterator[Diagnostic]:
    """What is wrong with the keys of the cascade and of its steps, each then called what it was probably meant to be, or left out."""
    schema = _schema()
    yield from _put_right(data, (), schema["properties"], places, scalars)
    steps = data.get("steps") if isinstance(data, dict) else None
    for name, step in steps.items() if isinstance(steps, dict) else ():
        yield from _put_right(step, ("steps", name), schema["$defs"]["step"]["properties"], places, scalars)


def _put_right(
    node: Any, path: Path, allowed: dict[str, Any], places: dict[Path, Span], scalars: dict[Path, Placed]
) -> Iterator[Diagnostic]:
    for key in [key for key in node if key not in allowed] if isinstance(node, dict) else ():
        meant = nearest(key, allowed)
        hint = suggest(key, allowed) or "known here: " + ", ".join(f"`{name}`" for name in allowed)
        yield Diagnostic("unknown-key", f"unknown key `{key}`", places[(*path, key)], hint=hint)
        value = node.pop(key)
        if meant is not None and meant not in node:
            node[meant] = value
            for table in (places, scalars):
                _renamed(table, (*path, key), (*path, meant))


def _renamed(table: dict[Path, Any], path: Path, meant: Path) -> None:
    for inner in [inner for inner in table if inner[: len(path)] == path]:
        table[(*meant, *inner[len(path) :])] = table.pop(inner)


def _wrong_value(error: Any, path: Path) -> str:
    where = f"`{'.'.join(path)}`" if path else "the file"
    if error.validator == "type":
        wanted = error.validator_value
        return f"{where} must be " + {"object": "a mapping of keys and values", "string": "a text"}.get(str(wanted), "one value")
    if error.validator == "minProperties":
        return f"{where} is empty"
    shown = str(error.instance)[:60].replace("\n", " ")
    return f"{where} cannot be `{shown}`"


def _how(error: Any, path: Path) -> str | None:
    if path and path[-1] == "version":
        return 'write three numbers, like "1.4.0"'
    if error.validator != "pattern":
        return None
    if path and path[-1] in ("cascade", "record", *KINDS):
        return "write a name with a folder and, if you like, a range, like `aml/cash@^1.4`"
    return "use small letters, digits and underscores, beginning with a letter"


def _one_kind_each(steps: dict[str, Any], places: dict[Path, Span]) -> Iterator[Diagnostic]:
    for name, step in steps.items():
        kinds = [kind for kind in KINDS if isinstance(step, dict) and kind in step]
        if isinstance(step, dict) and len(kinds) != 1:
            message = f"step `{name}` names " + (" and ".join(f"`{k}`" for k in kinds) if kinds else "no component")
            hint = "give it one of " + ", ".join(f"`{kind}`" for kind in KINDS)
            yield Diagnostic("step-kind", message, places[("steps", name)], hint=hint)


def _spec(data: dict[str, Any], file: str, places: dict[Path, Span], scalars: dict[Path, Placed]) -> CascadeSpec:
    def mapping(path: Path) -> dict[str, Placed]:
        return {p[-1]: placed for p, placed in scalars.items() if p[:-1] == path}

    steps = []
    for name, step in data["steps"].items():
        base = ("steps", name)
        kind = next(kind for kind in KINDS if kind in step)
        inner = {path[2]: place for path, place in places.items() if path[:2] == base and len(path) == 3}
        steps.append(
            StepSpec(
                name,
                kind,
                _reference(scalars[(*base, kind)]),
                places[base],
                mapping((*base, "with")),
                scalars.get((*base, "when")),
                mapping((*base, "otherwise")),
                mapping((*base, "on_missing")),
                inner,
            )
        )
    return CascadeSpec(
        data["cascade"],
        data["version"],
        _reference(scalars[("record",)]),
        tuple(steps),
        scalars[("decision",)],
        data.get("title"),
        file,
        scalars[("cascade",)].span,
    )


def _reference(placed: Placed) -> Reference:
    match = REFERENCE.fullmatch(placed.text)
    # the schema has seen to it that the text is a reference
    return Reference(match["name"], match["range"], placed.span) if match else Reference(placed.text, None, placed.span)
