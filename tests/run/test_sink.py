"""Results appear whole or not at all."""

import json
from pathlib import Path

import polars as pl
import pytest

from engine.errors import EngineError, InputError
from engine.run.sink import Sink
from engine.run.source import REJECTS

FRAME = pl.DataFrame(
    {
        "key": ["T1", 'T"2'],
        "hits": [["CASH-01", 'a"b'], []],
        "robust": [True, None],
        "time": pl.Series([0, 1]).cast(pl.Datetime("us", "UTC")),
        "quiet": pl.Series([57_600_000_001, None]).cast(pl.Duration("us")),
    }
)
NAMES = ["out.parquet", "out.csv", "out.jsonl"]


@pytest.mark.parametrize("name", NAMES)
def test_chunks_are_written_in_order(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with Sink(path) as sink:
        for _ in range(3):
            sink.write(FRAME)
        assert not path.exists()
    assert sink.rows == 6 and list(tmp_path.iterdir()) == [path]
    if name.endswith(".parquet"):
        assert pl.read_parquet(path).equals(pl.concat([FRAME] * 3))
    elif name.endswith(".csv"):
        back = pl.read_csv(path)
        assert back["key"].to_list() == ["T1", 'T"2'] * 3
        assert [json.loads(hits) for hits in back["hits"]] == [["CASH-01", 'a"b'], []] * 3
        assert back["quiet"].to_list() == ["PT57600.000001S", None] * 3
    else:
        assert [json.loads(line)["quiet"] for line in path.read_text().splitlines()] == ["PT57600.000001S", None] * 3
        assert [json.loads(line)["hits"] for line in path.read_text().splitlines()] == [["CASH-01", 'a"b'], []] * 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("trouble", [KeyboardInterrupt, ValueError])
def test_an_interruption_leaves_the_old_file_and_nothing_else(tmp_path: Path, name: str, trouble: type[BaseException]) -> None:
    path = tmp_path / name
    path.write_text("old")
    with pytest.raises(trouble), Sink(path) as sink:
        sink.write(FRAME)
        raise trouble
    assert list(tmp_path.iterdir()) == [path] and path.read_text() == "old"


@pytest.mark.parametrize("name", NAMES)
def test_without_rows_the_columns_are_written(tmp_path: Path, name: str) -> None:
    with Sink(tmp_path / name, REJECTS):
        pass
    if name.endswith(".parquet"):
        assert pl.read_parquet_schema(tmp_path / name) == REJECTS
    else:
        assert (tmp_path / name).read_text() == ("file,row,reason,raw\n" if name.endswith("csv") else "")


def test_a_target_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write `out.doc`: a file ends with \.parquet"):
        Sink("out.doc")
    with pytest.raises(EngineError, match="no such file or directory"), Sink(tmp_path / "nowhere" / "out.csv"):
        pass
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"folder.csv`: it is a folder; name a file in it"):
        Sink(tmp_path / "folder.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]


def test_a_closed_sink_takes_nothing(tmp_path: Path) -> None:
    with Sink(tmp_path / "out.csv") as sink:
        sink.write(FRAME)
    with pytest.raises(EngineError, match="is not open"):
        sink.write(FRAME)
