"""What kind of change an edit is: `kinds_of_change.yaml` says it edit by edit. What `engine publish` says of each stands in
`kinds_of_change.expected`, which ``RESET=1`` rewrites, and the diff is reviewed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.errors import SourceError
from engine.facts import facts as facts_of
from engine.models import package
from engine.models.packing import package_model
from engine.publish import Tree
from engine.registry.changes import change
from engine.registry.store import Workspace

HERE = Path(__file__).parent
GROUPS: list[dict[str, Any]] = yaml.safe_load((HERE / "kinds_of_change.yaml").read_text(encoding="utf-8"))
EXPECTED = HERE / "kinds_of_change.expected"


def facts(folder: Path, name: str) -> dict[str, Any]:
    """What a component of a workspace is compared by."""
    (packed,) = Tree(Workspace(folder.resolve())).packed([name])
    return dict(packed.facts)


def home(files: dict[str, str], name: str) -> str:
    return f"rulesets/{name}.rules" if f"rulesets/{name}.rules" in files else "cascades/all.yaml"


def told(folder: Path, group: dict[str, Any]) -> list[str]:
    """A line an edit: the kind of change that is wanted, and what is said of it."""
    name, files, lines = group["component"], group["files"], []
    for place, text in files.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text, encoding="utf-8")
    before = facts(folder, name)
    for title, wanted, old, new, *other in group["edits"]:
        place = other[0] if other else home(files, name)
        assert old in files[place], f"{name}, {title}: `{old}` does not stand in {place}"
        (folder / place).write_text(files[place].replace(old, new), encoding="utf-8")
        try:
            found = change(before, facts(folder, name))
        except SourceError as error:
            raise AssertionError(f"{name}, {title}: {error}") from error
        finally:
            (folder / place).write_text(files[place], encoding="utf-8")
        lines.append(f"{name}, {title}\n    {found}" + ("" if found.level == wanted else f"   WANTED: {wanted}"))
    return lines


def test_every_edit_is_the_change_it_should_be(tmp_path: Path) -> None:
    lines = [line for number, group in enumerate(GROUPS) for line in told(tmp_path / str(number), group)]
    text = "\n".join(lines) + "\n"
    assert "WANTED" not in text, "\n".join(line for line in lines if "WANTED" in line)
    if os.environ.get("RESET"):
        EXPECTED.write_text(text, encoding="utf-8")
    assert text == EXPECTED.read_text(encoding="utf-8")


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group["component"])
def test_every_kind_has_edits_of_every_level(group: dict[str, Any]) -> None:
    assert {edit[1] for edit in group["edits"]} == {"patch", "minor", "major"} and len(group["edits"]) >= 6


# --- models ------------------------------------------------------------------------------------------------------------

SAMPLE = {
    "amount": [1.0, 5.0, 9.0, 2.0, 7.0, 4.0],
    "age": [3.0, 1.0, 2.0, 9.0, 4.0, 6.0],
    "way": ["cash", "card", "cash", "card", "cash", "card"],
}
CODES = {"amount": "number", "age": "number", "way": ["cash", "card"]}


def packaged(folder: Path, labels: str = "011011", names: tuple[str, ...] = ("amount", "age", "way"), **options: Any) -> dict[str, Any]:
    """The facts of a small model over these inputs, the same artefact for the same labels and inputs."""
    pytest.importorskip("lightgbm")
    import lightgbm
    import polars as pl

    sample = pl.DataFrame({name: SAMPLE[name] * 20 for name in names})
    numbers = sample.with_columns(pl.col("way").replace_strict({"cash": 0.0, "card": 1.0}).alias("way")) if "way" in names else sample
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 1}
    data = lightgbm.Dataset(numbers.to_numpy(), [int(label) for label in labels * 20], feature_name=list(names))
    fitted = lightgbm.train(settings, data, 3)
    folder.mkdir()
    read = {name: CODES[name] for name in names} | options.pop("inputs", {})
    path = package_model(fitted, name="shop/risk", version="1.0.0", sample=sample, folder=folder, inputs=read, **options)
    return dict(facts_of(package.load(path)))


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({"golden": "within 2 ulp", "trained": {"by": "Ann"}}, "a patch change"),
        ({"labels": "111011"}, "a minor change: what it holds is other"),
        ({"outputs": {"probability": (0.0, 0.999)}}, "a minor change: the range of `probability` is 0.0 to 0.999, before 0.0 to 1.0"),
        ({"names": ("amount", "age")}, "a major change: it takes `way` no more; how `way` is read is gone"),
        ({"outputs": ["risk"]}, "a major change: the output `probability` is gone"),
        ({"inputs": {"amount": "money EUR"}}, "a major change: it takes `amount` as money EUR, before as number"),
        ({"inputs": {"way": ["card", "cash"]}}, "a major change: how `way` is read means something else"),
        ({"unseen": "error"}, "a major change: how `way` is read means something else"),
    ],
)
def test_models(tmp_path: Path, edit: dict[str, Any], told: str) -> None:
    given: dict[str, Any] = {"outputs": ["probability"]}
    assert str(change(packaged(tmp_path / "before", **given), packaged(tmp_path / "now", **given | edit))) == told
