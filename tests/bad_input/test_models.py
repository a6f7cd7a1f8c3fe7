"""Model packages as they come, through the command line: what is not as it was packaged is refused before a library opens it."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.bad_input.conftest import Command

CARDS = Path(__file__).parents[2] / "examples" / "purchase_cards"
CASCADE, PACKAGE = "cascades/audit.yaml", Path("models/council/anomaly/1.0.0")


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The workspace of the example, without its data."""
    shutil.copytree(CARDS, tmp_path / "cards", ignore=shutil.ignore_patterns("*.csv.gz"))
    monkeypatch.chdir(tmp_path / "cards")
    return tmp_path / "cards"


class Trap:
    """Says where it was opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("opened"),)


def seal(name: str) -> None:
    """Write the hash of a changed file into `model.yaml`, as somebody would who wants it to pass."""
    digests = {line.split(": ")[0].strip(): line.split(": ")[1] for line in manifest().splitlines() if len(line) > 66}
    new = hashlib.sha256((PACKAGE / name).read_bytes()).hexdigest()
    (PACKAGE / "model.yaml").write_text(manifest().replace(digests[name], new))


def manifest() -> str:
    return (PACKAGE / "model.yaml").read_text(encoding="utf-8")


def says(old: str, new: str) -> Callable[[], object]:
    return lambda: (PACKAGE / "model.yaml").write_text(manifest().replace(old, new))


def a_bit_of_the_golden_rows() -> None:
    data = bytearray((PACKAGE / "golden.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (PACKAGE / "golden.parquet").write_bytes(data)


def a_pickle_in_place_of_the_model() -> None:
    (PACKAGE / "model.skops").write_bytes(pickle.dumps(Trap()))
    seal("model.skops")


def a_file_that_leads_out() -> None:
    (PACKAGE / "reference.json").unlink()
    (PACKAGE / "reference.json").symlink_to("/etc/passwd")


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "a golden bit": (a_bit_of_the_golden_rows, "`golden.parquet` was changed after it was packaged"),
    "a pickle": (a_pickle_in_place_of_the_model, "holds the pickle `model.skops`"),
    "a pickle beside": (lambda: (PACKAGE / "x.joblib").write_bytes(pickle.dumps(Trap())), "holds the pickle `x.joblib`"),
    "a way out by name": (
        says("file: model.skops", "file: ../model.skops"),
        "`file` must be the plain name of a file inside the package folder",
    ),
    "a way out by link": (a_file_that_leads_out, "`reference.json` leads out of the package folder"),
    "a file that is gone": (lambda: (PACKAGE / "golden.parquet").unlink(), "the file `golden.parquet` is not there"),
    "an empty artefact": (lambda: (PACKAGE / "model.skops").write_bytes(b""), "`model.skops` was changed after it was packaged"),
    "no model.yaml": (lambda: (PACKAGE / "model.yaml").unlink(), "there is no `model.yaml` in `1.0.0`"),
    "a key twice": (lambda: (PACKAGE / "model.yaml").write_text(manifest() + "model: x/y\n"), "the key `model` stands twice"),
    "anchors": (lambda: (PACKAGE / "model.yaml").write_text("a: &a [1]\nb: *a\n"), "anchors and aliases are not allowed here"),
    "10,000 deep": (lambda: (PACKAGE / "model.yaml").write_text("[" * 10_000), "cannot be read: it is nested too deep"),
    "10,000 digits": (says("float: 32", "float: " + "9" * 10_000), "a number or date in it cannot be read"),
    "UTF-16": (lambda: (PACKAGE / "model.yaml").write_bytes(manifest().encode("utf-16")), "`model.yaml` is no UTF-8 text"),
    "20 MB": (lambda: (PACKAGE / "model.yaml").write_bytes(b"#" * 20_000_000), "`model.yaml` has more than 4,000,000 characters"),
    "an allow-list of its own": (lambda: (PACKAGE / "model.yaml").write_text(manifest() + "allow: [a.B]\n"), "unknown key `allow`"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_spoilt_package_is_refused_where_it_is_named(engine: Command, cards: Path, case: str) -> None:
    spoil, said = REFUSED[case]
    spoil()
    checked, decided = engine("check", CASCADE), engine("decide", CASCADE, "-", stdin="{}")
    assert checked.code == decided.code == 1
    assert checked.out.startswith("cascades/audit.yaml:12:12: error[model-refused]: ") and said in checked.out.splitlines()[0]
    assert decided.err.splitlines()[0] == checked.out.splitlines()[0]
    assert not Path("opened").exists()


def test_a_golden_output_changed_by_one_bit_is_refused_by_its_row(engine: Command, cards: Path) -> None:
    """The package's own tolerance is taken away: its scores depend on the processor by a few ulps, and not by a bit more."""
    frame = pl.read_parquet(PACKAGE / "golden.parquet")
    output = frame.columns[-1]
    frame.with_columns(pl.col(output) + pl.when(pl.int_range(pl.len()) == 6).then(1e-9).otherwise(0.0)).write_parquet(
        PACKAGE / "golden.parquet"
    )
    seal("golden.parquet")
    told = engine("check", CASCADE).out
    assert "error[model-refused]: `council/anomaly 1.0.0` must not be used: golden row 7 gives score" in told


@pytest.mark.parametrize("change", [("model: council/anomaly", "model: council/other"), ("version: 1.0.0", "version: 1.0.1")])
def test_a_package_in_the_folder_of_another_is_refused(engine: Command, cards: Path, change: tuple[str, str]) -> None:
    says(*change)()
    assert "the folder `models/council/anomaly/1.0.0` holds another model" in engine("graph", CASCADE).err


def test_a_version_that_is_not_there_is_told_with_those_that_are(engine: Command, cards: Path) -> None:
    PACKAGE.rename(PACKAGE.with_name("2.0.0"))
    assert "`council/anomaly` is there as 2.0.0, `1.0.0` is asked for" in engine("check", CASCADE).out


def test_an_archive_with_types_nobody_allowed_is_refused(engine: Command, cards: Path) -> None:
    Path("deployment.yaml").write_text("allow: []\n")
    assert "holds types not allowed here: `sklearn.tree._tree.Tree`" in engine("check", CASCADE).out


def test_everything_that_model_yaml_lacks_is_said_once(engine: Command, cards: Path) -> None:
    (PACKAGE / "model.yaml").write_text("".join(f"k{number}: 1\n" for number in range(100)))
    told = engine("check", CASCADE).out.splitlines()[0]
    assert told.count("lacks") == 1 and told.endswith("and 81 more")


@pytest.mark.parametrize(("value", "code"), [("1.5", 1), ("-0.1", 1), ("0", 0), ("1.0", 0)])
def test_what_stands_for_a_score_is_one_the_model_can_give(engine: Command, cards: Path, value: str, code: int) -> None:
    cascade = Path("cascades/audit.yaml")
    cascade.write_text(
        cascade.read_text().replace("    otherwise: {score: 0.0}", f"    otherwise: {{score: 0.0}}\n    on_missing: {{score: {value}}}")
    )
    result = engine("check")
    assert result.code == code
    if code:
        assert f"error[value-type]: `score` of `council/anomaly` is from 0 to 1, and `{value}` is not" in result.out
        assert "leave `on_missing` out" in result.out
