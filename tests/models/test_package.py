"""What a package must not be: changed, a pickle, a way out of its folder, a model that scores otherwise here."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from engine.errors import ModelError
from engine.models.package import Model, describe, load

TREES = frozenset({"sklearn.tree._tree.Tree"})


@pytest.fixture
def package(gbm_folder: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(gbm_folder, tmp_path / "1.0.0"))


def _edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "model.yaml"
    data = yaml.safe_load(path.read_text())
    change(data)
    path.write_text(yaml.safe_dump(data, sort_keys=False))


def _seal(folder: Path) -> None:
    """Write the hashes anew, as someone would who covers up a change."""
    names = yaml.safe_load((folder / "model.yaml").read_text())["files"]
    _edit(folder, lambda data: data.update(files={name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}))


def _refused(folder: Path, allow: frozenset[str] = frozenset()) -> str:
    with pytest.raises(ModelError) as caught:
        load(folder, allow=allow)
    text = str(caught.value)
    assert "\n" not in text
    assert not text.endswith(".")
    return text


def test_a_sound_package_loads_and_says_what_it_is(package: Path) -> None:
    model = load(package)
    assert (model.name, model.version, model.ulps) == ("credit/gbm", "1.0.0", 0)
    assert [str(i.type) for i in model.inputs] == ["text", "text", "text", "integer", "money EUR", "number", "flag", "date"]
    assert [i.name for i in model.inputs if i.missing] == ["savings", "rate"]
    assert model.inputs[1].codes == ("own", "rent", "free")
    assert [(o.name, o.range, o.type.kind) for o in model.outputs] == [("probability", (0.0, 1.0), "number")]


def test_a_described_model_cannot_score(package: Path) -> None:
    (package / "model.txt").unlink()
    model: Model = describe(package)
    assert [i.name for i in model.inputs][:2] == ["status", "housing"]
    with pytest.raises(ModelError, match="only described"):
        model.scorer.one([0.0] * 8)


# --- golden rows ------------------------------------------------------------------------------------------------------


def _flip(x: float) -> float:
    bits = struct.unpack("<q", struct.pack("<d", x))[0] ^ 1
    return float(struct.unpack("<d", struct.pack("<q", bits))[0])


def _flip_golden(folder: Path) -> tuple[float, float]:
    """Change one bit of one golden output."""
    frame = pl.read_parquet(folder / "golden.parquet")
    scores = frame["=> probability"].to_list()
    before, scores[6] = scores[6], _flip(scores[6])
    frame.with_columns(pl.Series("=> probability", scores)).write_parquet(folder / "golden.parquet")
    return before, scores[6]


def test_a_golden_bit_changed_is_refused_by_its_hash(package: Path) -> None:
    data = bytearray((package / "golden.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (package / "golden.parquet").write_bytes(data)
    assert "`golden.parquet` was changed after it was packaged" in _refused(package)


def test_a_golden_bit_changed_with_its_hash_is_refused_by_the_row(package: Path) -> None:
    true, false = _flip_golden(package)
    _seal(package)
    text = _refused(package)
    assert f"golden row 7 gives probability {true!r}, recorded was {false!r} (1 ulp apart, allowed: exact)" in text
    assert text.count("python 3.") == text.count("lightgbm 4.") == 2


def test_both_environments_are_named(package: Path) -> None:
    _flip_golden(package)
    _seal(package)
    _edit(package, lambda data: data["environment"].update(python="3.9.1", machine="s390x", libraries={"lightgbm": "3.0.0"}))
    assert "recorded with python 3.9.1, lightgbm 3.0.0, s390x, 64-bit floats, here python" in _refused(package)


def test_a_declared_tolerance_lets_the_bit_pass_and_no_more(package: Path) -> None:
    _flip_golden(package)
    _seal(package)
    _edit(package, lambda data: data.update(golden="within 1 ulp"))
    assert load(package).manifest.golden == "within 1 ulp"
    frame = pl.read_parquet(package / "golden.parquet").with_columns(pl.col("=> probability") * 1.0000001)
    frame.write_parquet(package / "golden.parquet")
    _seal(package)
    assert "allowed: within 1 ulp" in _refused(package)


def test_another_model_under_the_same_name_is_refused_by_the_rows(package: Path) -> None:
    text = (package / "model.txt").read_text()
    leaf = text.index(".", text.index("leaf_value=")) + 1
    # of the same length, for the file holds the sizes of its trees
    (package / "model.txt").write_text(text[:leaf] + str(9 - int(text[leaf])) + text[leaf + 1 :])
    _seal(package)
    assert "must not be used: golden row" in _refused(package)


@pytest.mark.parametrize("spoil", ["columns", "rows", "type", "nulls", "bytes"])
def test_golden_rows_that_prove_nothing_are_refused(package: Path, spoil: str) -> None:
    path, frame = package / "golden.parquet", pl.read_parquet(package / "golden.parquet")
    changes: dict[str, Callable[[], Any]] = {
        "columns": lambda: frame.drop("rate").write_parquet(path),
        "rows": lambda: frame.clear().write_parquet(path),
        "type": lambda: frame.with_columns(pl.col("amount").cast(pl.Float64)).write_parquet(path),
        "nulls": lambda: frame.with_columns(pl.lit(None, pl.Float64).alias("=> probability")).write_parquet(path),
        "bytes": lambda: path.write_bytes(b"PAR1 no parquet"),
    }
    changes[spoil]()
    _seal(package)
    assert "`golden.parquet` of `credit/gbm 1.0.0`" in _refused(package)


def test_a_golden_row_the_model_cannot_read_is_refused(package: Path) -> None:
    frame = pl.read_parquet(package / "golden.parquet")
    frame.with_columns(pl.lit(None, pl.Int64).alias("amount")).write_parquet(package / "golden.parquet")
    _seal(package)
    assert "golden row 1 has no value for `amount`" in _refused(package)


# --- pickles and ways out ---------------------------------------------------------------------------------------------


class _Bomb:
    """Says where it was opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["model.pkl", "extra.joblib", "model.pickle.gz"])
def test_a_pickle_by_name_is_refused(package: Path, name: str) -> None:
    (package / name).write_bytes(b"whatever")
    assert f"holds the pickle `{name}`" in _refused(package)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_by_its_bytes_is_refused_and_never_opened(package: Path, tmp_path: Path, protocol: int) -> None:
    trap = tmp_path / "opened"
    (package / "model.txt").write_bytes(pickle.dumps(_Bomb(trap), protocol=protocol))
    _seal(package)
    assert "holds the pickle `model.txt`" in _refused(package)
    assert not trap.exists()


def test_an_artefact_of_another_kind_is_refused(package: Path) -> None:
    (package / "model.txt").write_bytes(b"PK\x03\x04 an archive")
    _seal(package)
    assert "`model.txt` is no lightgbm artefact" in _refused(package)


def test_a_broken_artefact_is_refused(package: Path) -> None:
    (package / "model.txt").write_bytes(b"tree\nnothing more\n")
    _seal(package)
    assert "`model.txt` is no LightGBM model" in _refused(package)


@pytest.mark.parametrize("name", ["../model.txt", "/etc/passwd", "sub/model.txt", "..", ".hidden"])
def test_a_file_name_that_leaves_the_folder_is_refused(package: Path, name: str) -> None:
    _edit(package, lambda data: data.update(file=name, files=data["files"] | {name: "0" * 64}))
    assert f"must be the plain name of a file inside the package folder, not `{name}`" in _refused(package)


def test_a_link_out_of_the_folder_is_refused(package: Path, tmp_path: Path) -> None:
    outside = (package / "model.txt").rename(tmp_path / "outside.txt")
    (package / "model.txt").symlink_to(outside)
    assert "`model.txt` leads out of the package folder" in _refused(package)


def test_a_lost_file_is_named(package: Path) -> None:
    (package / "reference.json").unlink()
    assert "the file `reference.json` is not there" in _refused(package)


# --- types in archives ------------------------------------------------------------------------------------------------


def test_types_the_deployment_does_not_allow_are_named(forest_folder: Path) -> None:
    text = _refused(forest_folder)
    assert "holds types not allowed here: `sklearn.tree._tree.Tree`; if you trust them, put them under `allow` in `deployment.yaml`" in text
    assert load(forest_folder, allow=TREES).outputs[0].name == "score"


@pytest.mark.parametrize("key", ["allow", "trusted", "allow_types"])
def test_an_allow_list_in_the_package_is_refused(forest_folder: Path, tmp_path: Path, key: str) -> None:
    folder = Path(shutil.copytree(forest_folder, tmp_path / "1.0.0"))
    _edit(folder, lambda data: data.update({key: ["sklearn.tree._tree.Tree"]}))
    assert f"unknown key `{key}`" in _refused(folder)


def test_an_allow_list_among_the_facts_of_training_changes_nothing(forest_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(forest_folder, tmp_path / "1.0.0"))
    _edit(folder, lambda data: data.update(training={"allow": ["sklearn.tree._tree.Tree"], "trusted": True}))
    assert "holds types not allowed here: `sklearn.tree._tree.Tree`" in _refused(folder)


# --- model.yaml -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(verison="1"), "unknown key `verison`, did you mean `version`?"),
        (lambda d: d["inputs"][0].update(mising=True), "unknown key `mising`, did you mean `missing`?"),
        (lambda d: d.pop("golden"), "`the file` lacks `golden`"),
        (lambda d: d.update(kind="lightgmb"), "unknown kind `lightgmb`, did you mean `lightgbm`?"),
        (lambda d: d.update(kind="torch"), "unknown kind `torch`, known are `lightgbm`, `xgboost`, `onnx`, `sklearn`"),
        (lambda d: d.update(golden="about right"), "`golden` must be `exact` or `within N ulp`, not `about right`"),
        (lambda d: d.update(batch="within 0 ulp"), "`batch` must be `exact`, `row by row` or `within N ulp`"),
        (lambda d: d.update(version="1.0"), "`version` must be three numbers, like `1.4.0`, not `1.0`"),
        (lambda d: d["inputs"][3].update(type="decimal"), "input `months` has the unknown type `decimal`"),
        (lambda d: d["inputs"][4].update(type="money DEM"), "input `amount` has the unknown type `money DEM`"),
        (lambda d: d["inputs"][0].pop("codes"), "input `status` is a text and needs `codes`"),
        (lambda d: d["inputs"][3].update(codes=["a"]), "input `months` is no text and takes no `codes`"),
        (lambda d: d["inputs"][0].update(codes=["a", "a"]), "input `status` has a code twice"),
        (lambda d: d["inputs"][0].update(codes=[True]), "`inputs.0.codes.0` must be a text in quotes, not `true`"),
        (lambda d: d["inputs"].append(dict(d["inputs"][3])), "two inputs are called `months`"),
        (lambda d: d.update(file="model2.txt"), "`files` does not name `model2.txt`"),
        (lambda d: d["files"].pop("reference.json"), "`files` lacks `reference.json`"),
        (lambda d: d["outputs"][0].update(type="text"), "`outputs.0.type` must be `number`, not `text`"),
    ],
)
def test_what_is_wrong_in_model_yaml_is_said(package: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    _edit(package, change)
    assert message in _refused(package)


def test_everything_wrong_is_said_at_once(package: Path) -> None:
    _edit(package, lambda data: data.update(golden=1, batch=2, colour="red"))
    text = _refused(package)
    assert all(part in text for part in ("`golden` must be", "`batch` must be", "unknown key `colour`"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "`the file` must be a mapping of keys and values"),
        ("[" * 5000, "cannot be read"),
        ("model: &a x\nversion: *a\n", "anchors and aliases are not allowed here"),
        ("model: a/b\nmodel: a/c\n", "the key `model` stands twice"),
        ("model: !!python/object/apply:os.system ['true']\n", "cannot be read"),
        ("model: [\n", "cannot be read"),
        ("\x00", "cannot be read"),
    ],
)
def test_yaml_that_is_none_is_refused(package: Path, text: str, message: str) -> None:
    (package / "model.yaml").write_text(text)
    assert message in _refused(package)


def test_no_utf8_and_no_file_are_refused(package: Path) -> None:
    (package / "model.yaml").write_bytes(b"\xff\xfem\x00")
    assert "is no UTF-8 text" in _refused(package)
    (package / "model.yaml").unlink()
    assert "there is no `model.yaml` in `1.0.0`" in _refused(package)


def test_a_library_that_is_not_there_is_named(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins
    import sys

    real = builtins.__import__

    def no_lightgbm(name: str, *rest: Any, **named: Any) -> Any:
        if name == "lightgbm":
            raise ModuleNotFoundError("no", name="lightgbm")
        return real(name, *rest, **named)

    monkeypatch.setitem(sys.modules, "lightgbm", None)
    monkeypatch.setattr(builtins, "__import__", no_lightgbm)
    assert "needs a library that is not here: install `kaskade[lightgbm]`" in _refused(package)
