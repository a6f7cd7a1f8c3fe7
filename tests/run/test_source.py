"""Files as they come: every row is in a chunk or among the rejects, and whatever is wrong is named."""

import csv
import datetime as dt
import gzip
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.record import Field, Record
from engine.run import cells, lines
from engine.run.border import NUMBER, ROW
from engine.run.source import Arrival, Chunk, Source, read, scan
from engine.values import DATE, INTEGER, TEXT, Type

RECORD = Record(
    "bank/payment",
    "1.0.0",
    "UTC",
    ("file", "row"),
    "day",
    (
        Field("file", TEXT),
        Field("row", INTEGER),
        Field("day", DATE, sources=("TRANS DATE",)),
        Field("amount", Type("money", currency="GBP")),
        Field("note", TEXT, optional=True),
        Field("party.country", TEXT, optional=True),
    ),
)
Save = Callable[[str, bytes | str], Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def save(name: str, content: bytes | str) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return save


def everything(path: Path | list[Path], **options: Any) -> tuple[list[dict[str, Any]], list[tuple[Any, ...]], Arrival]:
    """All rows without what the reader adds, all rejects, and what else arrived."""
    rows, rejects, arrival = [], [], None
    for chunk in scan(path, RECORD, **options):
        rows += chunk.frame.drop(NUMBER, "file", "row", strict=False).to_dicts()
        rejects += chunk.rejects.rows()
        arrival = chunk.arrival if arrival is None else arrival.plus(chunk.arrival)
    assert arrival is not None and arrival.rows == len(rows) + len(rejects)
    return rows, rejects, arrival


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        list(scan(path, RECORD, **options))
    message = str(caught.value)
    assert "\n" not in message and not message.endswith(".")
    return message


# --- files that cannot be read as a whole ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.jsonl", "x.parquet", "x.xlsx"])
def test_an_empty_file_is_named(save: Save, name: str) -> None:
    assert refusal(save(name, gzip.compress(b"") if name.endswith("gz") else b"")) == f"`{name}` is empty"


def test_a_file_of_blank_lines_is_named(save: Save) -> None:
    assert refusal(save("x.csv", "\n\n\r\n")) == "`x.csv` holds nothing but empty lines"


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_a_file_of_zeros_is_named(save: Save, size: int) -> None:
    assert refusal(save("x.csv", b"\0" * size)).startswith("`x.csv` is no text: its first line holds zero bytes")


def test_a_file_of_zeros_is_rejected_as_json_lines(save: Save) -> None:
    rows, rejects, _ = everything(save("x.jsonl", b"\0" * 10))
    assert not rows and [reason for _, _, reason, _ in rejects] == ["no JSON at character 1: expecting value"]


@pytest.mark.parametrize("name", ["x.parquet", "x.xlsx"])
@pytest.mark.parametrize("content", [b"\0" * 1_000, b"PAR1 but not for long"])
def test_a_broken_binary_file_is_named(save: Save, name: str, content: bytes) -> None:
    assert f"`{name}` is no whole " in refusal(save(name, content))


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.jsonl", "x.parquet", "x.xlsx"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    message = refusal(tmp_path / name)
    assert message.startswith(f"cannot read `{tmp_path / name}`: no such file")


def test_an_unknown_kind_of_file_is_named(save: Save) -> None:
    assert refusal(save("x.doc", "x")).startswith("cannot read `x.doc`: a file ends with .csv")


def test_a_packed_file_that_breaks_off_is_named(save: Save) -> None:
    packed = gzip.compress(b"TRANS DATE\n" + b"2014-04-29\n" * 100_000)
    assert "breaks off: the packed file ends after " in refusal(save("x.csv.gz", packed[:-20]))


def test_a_packed_file_that_is_damaged_is_named(save: Save) -> None:
    assert refusal(save("x.csv.gz", "TRANS DATE\n2014-04-29\n")) == "`x.csv.gz` is damaged: it cannot be unpacked beyond 0 bytes"


def test_a_file_in_another_encoding_names_the_byte_and_the_option(save: Save) -> None:
    path = save("x.csv", "day,note\n2014-04-29,Привет\n".encode("cp1251"))
    message = "`x.csv` is not UTF-8: byte 0xcf at offset 20; say what it is, like `--encoding cp1251`"
    assert refusal(path) == message
    assert everything(path, encoding="cp1251")[0] == [{"day": "2014-04-29", "note": "Привет"}]
    assert refusal(path, encoding="klingon") == "there is no encoding `klingon`; names are like cp1251, cp1252, utf-16-le"


@pytest.mark.parametrize("place", [0, 1, 70_000, lines.BLOCK - 1, lines.BLOCK, 400_000])
def test_the_offset_of_the_byte_is_right_across_blocks(save: Save, place: int) -> None:
    body = b"day\n" + "é".encode() * 200_001
    at = 4 + 2 * (place // 2)
    assert f"byte 0xff at offset {at};" in refusal(save("x.csv", body[:at] + b"\xff" + body[at:] + b"\n"))


def test_a_file_cut_within_a_character_is_named(save: Save) -> None:
    assert "byte 0xc3 at offset 4;" in refusal(save("x.csv", b"day\n\xc3"))


def test_a_file_without_any_known_column_is_named(save: Save) -> None:
    message = "no column of `x.csv` is a field of `bank/payment`: it begins with `a;day`, `b`"
    assert refusal(save("x.csv", "a;day,b\n1;2,3\n")) == message


def test_a_file_with_lone_carriage_returns_is_named(save: Save) -> None:
    assert refusal(save("x.csv", "day,note\r2014-04-29,x\r")).endswith("a carriage return stands within the row; save it with line feeds")


def test_two_files_of_one_name_cannot_share_a_key(save: Save, tmp_path: Path) -> None:
    first = save("x.csv", "day\n")
    with pytest.raises(InputError, match=r"two files are called `x\.csv`, and `file` is part of the key"):
        Source([first, tmp_path / "other" / "x.csv"], RECORD)


# --- what is read nevertheless ---------------------------------------------------------------------------------------

TEXT_FILE = 'day,amount,note\r\n2014-04-29,"1.50",Ω\r\n,,\r\n2014-04-30,2,"a ""b"", c\nd"\r\n'
ROWS = [
    {"day": "2014-04-29", "amount": "1.50", "note": "Ω"},
    {"day": None, "amount": None, "note": None},
    {"day": "2014-04-30", "amount": "2", "note": 'a "b", c\nd'},
]


@pytest.mark.parametrize(
    ("content", "notes"),
    [
        (TEXT_FILE.encode(), ()),
        (TEXT_FILE.encode("utf-8-sig"), ()),
        (TEXT_FILE.rstrip().encode(), ()),
        (b"\xff\xfe" + TEXT_FILE.encode("utf-16-le"), ("read as UTF-16, as its byte order mark says",)),
        (b"\xfe\xff" + TEXT_FILE.encode("utf-16-be"), ("read as UTF-16, as its byte order mark says",)),
        (TEXT_FILE.encode("utf-32"), ("read as UTF-32, as its byte order mark says",)),
    ],
)
def test_csv_is_read_in_every_unicode_encoding(save: Save, content: bytes, notes: tuple[str, ...]) -> None:
    rows, rejects, arrival = everything(save("x.csv", content))
    assert (rows, rejects, arrival.notes) == (ROWS, [], notes)
    assert everything(save("x.csv.gz", gzip.compress(content)))[0] == ROWS


def test_columns_that_no_field_takes_are_counted(save: Save) -> None:
    _, _, arrival = everything(save("x.csv", "day,colour,\n2014-04-29,red,1\n2014-04-30,,2\n"))
    assert (dict(arrival.unknown), arrival.nameless) == ({"colour": 1}, 2)
    assert arrival.absent == ("amount", "note", "party.country")


def test_a_header_that_stands_twice_is_named_and_nothing_is_lost(save: Save) -> None:
    chunk = next(scan(save("x.csv", "day,amount,amount\n2014-04-29,1,\n2014-04-29,1,1.00\n2014-04-29,1,2\n"), RECORD))
    assert chunk.arrival.duplicates == ("amount",) and not chunk.arrival.unknown
    typed = read(RECORD, chunk).frame
    assert typed.select("amount", "amount#").rows() == [(100, 0), (100, 0), (None, 2)]


def test_rows_with_other_cells_than_the_header_are_rejected_with_number_and_text(save: Save) -> None:
    path = save("x.csv", "day,note\n2014-04-29,a\n2014-04-30\n\n2014-05-01,b,c\n2014-05-02,d\n")
    rows, rejects, _ = everything(path)
    assert [row["note"] for row in rows] == ["a", "d"]
    assert rejects == [
        (str(path), 2, "1 cells where the header has 2", "2014-04-30"),
        (str(path), 3, "3 cells where the header has 2", "2014-05-01,b,c"),
    ]


def test_rows_with_zero_bytes_are_rejected(save: Save) -> None:
    path = save("x.csv", "day,note\n2014-04-29,a\0b\n2014-04-30,c\n")
    rows, rejects, _ = everything(path)
    assert [row["note"] for row in rows] == ["c"]
    assert rejects == [(str(path), 1, "the row holds zero bytes", "2014-04-29,a\0b")]


def test_a_stray_quote_costs_its_line_alone(save: Save) -> None:
    text = 'day,note\n2014-04-29,"a\n2014-04-30,"b"\n2014-05-01,c\n2014-05-02,"d" e\n2014-05-03,"f'
    rows, rejects, _ = everything(save("x.csv", text))
    assert [row["note"] for row in rows] == ["b", "c"]
    assert [(row, reason, raw) for _, row, reason, raw in rejects] == [
        (1, "something follows a closing quote", '2014-04-29,"a'),
        (4, "something follows a closing quote", '2014-05-02,"d" e'),
        (5, "a quote is opened and never closed", '2014-05-03,"f'),
    ]


def test_a_quote_that_is_never_closed_does_not_fill_memory(save: Save) -> None:
    text = "day,note\n2014-04-29,a\n" + '2014-04-30,"b\n' + "2014-05-01,c\n" * 200_000
    rows, rejects, _ = everything(save("x.csv", text))
    assert len(rejects) == 1 and rejects[0][2].startswith("the row is longer than 1000000 characters")
    lost = rejects[0][3].count("\n")
    assert len(rows) + lost == 200_001


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl"])
def test_a_line_of_200_mb_is_rejected_with_memory_flat(tmp_path: Path, name: str) -> None:
    good = {"x.csv": b"2014-04-29,a\n", "x.jsonl": b'{"day": "2014-04-29"}\n'}[name]
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(b"day,note\n" if name == "x.csv" else b"")
        file.write(good)
        for _ in range(200):
            file.write(b"x" * 1_000_000)
        file.write(b"\n" + good)
    tracemalloc.start()
    rows, rejects, _ = everything(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(rows) == 2 and [row for _, row, _, _ in rejects] == [2]
    assert rejects[0][2] == "the line has 200000000 bytes, more than 1000000" and rejects[0][3] == "x" * 1_000
    assert peak < 20_000_000


def test_a_first_line_of_2_mb_is_named(save: Save) -> None:
    assert refusal(save("x.csv", "x" * 2_000_000)) == "the first line of `x.csv` is longer than 1000000 bytes"


# --- both ways through CSV agree -------------------------------------------------------------------------------------

CELL = st.text(st.sampled_from('ab ,"\n\r\0é#;'), max_size=6)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=8)), st.data())
def test_what_a_csv_writer_wrote_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], data: st.DataObject) -> None:
    rows = [[cell.replace("\r", "") for cell in row] for row in rows]
    end, quoting = data.draw(st.sampled_from(["\n", "\r\n"])), data.draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=end, quoting=quoting).writerows([["day", "note", "x", "y"][: len(rows[0])], *rows])
    path = tmp_path_factory.getbasetemp() / "written.csv"
    path.write_text(out.getvalue(), newline="")
    found, rejects, _ = everything(path)
    kept = [row for row in rows if not any("\0" in cell for cell in row)]
    assert [list(row.values()) for row in found] == [[cell or None for cell in row] for row in kept]
    assert len(rejects) == len(rows) - len(kept)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.sampled_from('ab ,"\r;'), max_size=8), max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_the_fast_way_and_the_slow_way_give_the_same(body: list[str], end: str) -> None:
    data = "".join(line + end for line in ["day,note", *body]).encode()
    fast, slow = (list(_table(data, width)) for width in (1 << 18, 0))
    assert fast == slow


def _table(data: bytes, limit: int) -> list[Any]:
    """All rows and rejects of the table, in order; without a limit every block counts as dirty."""
    header, body = data.split(b"\n", 1)
    blocks = iter([header + b"\n", *([body] if body else [])])
    table = cells.Table("x.csv", blocks)
    assert table.header == ["day", "note"]
    with pytest.MonkeyPatch.context() as patch:
        if not limit:
            patch.setattr(cells, "_clean", lambda block, width: None)
        parts = list(table)
    rows = [row for part in parts for row in part.frame.rows()]
    return sorted([(row[-1], *row[:-1]) for row in rows] + [reject for part in parts for reject in part.rejects], key=lambda row: row[0])


def test_clean_lines_take_the_fast_way(save: Save) -> None:
    assert cells._clean(b'a,b\r\n"c, d",\n', 2) == b'a,b\n"c, d",\n'
    for block in (b"a\n", b"a,b,c\nd\n", b'a,"b\n', b'a,x"b"\n', b'a,"b""c"\n', b"a,b\n\nc,d\n", b"a,b\rc,d\n", b"a,\0\n", b'"a\n,b"\n'):
        assert cells._clean(block, 2) is None, block


# --- JSON lines, Parquet, XLSX ---------------------------------------------------------------------------------------


def test_json_lines_are_read_with_what_they_hold(save: Save) -> None:
    events = [
        {"day": "2014-04-29", "amount": 1.5, "party": {"country": "IR", "colour": "red"}},
        {"TRANS DATE": "2014-04-30", "amount": "2", "party.country": "GB", "extra": [1, "a"]},
        {"day": "2014-05-01", "amount": None, "party": {"country": 5}, "note": "\ud800"},
    ]
    text = "\n".join(json.dumps(event) for event in events)
    chunk = next(scan(save("x.jsonl", "\ufeff" + text + "\n\n"), RECORD))
    typed = read(RECORD, chunk)
    assert typed.rejects.height == 0
    assert typed.frame.select("day", "amount", "party.country", "note#").rows() == [
        (16189, 150, "IR", 1),
        (16190, 200, "GB", 1),
        (16191, None, "5", 2),
    ]
    assert dict(chunk.arrival.unknown) == {"party.colour": 1, "extra": 1}


def test_json_lines_that_cannot_be_read_are_rejected_with_their_text(save: Save) -> None:
    deep = '{"day":' + "[" * 10_000 + "]" * 10_000 + "}"
    lines_ = ['{"day": "2014-04-29"}', deep, '{"day": 1, "day": 2}', "[1]", "{", '{"day": "2014-04-30"}']
    rows, rejects, _ = everything(save("x.jsonl.gz", gzip.compress("\r\n".join(lines_).encode())))
    assert [row["day"] for row in rows] == ["2014-04-29", "2014-04-30"]
    assert [reject[1:] for reject in rejects] == [
        (2, "nested more than 100 deep", deep),
        (3, "the key `day` stands twice", '{"day": 1, "day": 2}'),
        (4, "the line is no JSON object", "[1]"),
        (5, "no JSON at character 2: expecting property name enclosed in double quotes", "{"),
    ]


def test_events_without_any_known_key_are_rejected_not_lost(save: Save) -> None:
    path = save("x.jsonl", '{}\n{"x": 1}\n')
    chunk = next(scan(path, RECORD))
    assert read(RECORD, chunk).rejects.rows() == [
        (str(path), 1, "time `day` is missing", '{"file": "x.jsonl", "row": 1}'),
        (str(path), 2, "time `day` is missing", '{"x": 1, "file": "x.jsonl", "row": 2}'),
    ]


def test_parquet_is_read_in_chunks_with_structs_opened(tmp_path: Path) -> None:
    days = pl.Series("day", range(10), dtype=pl.Int32).cast(pl.Date)
    country = pl.Series("party", [{"country": "IR"}, None] * 5)
    pl.DataFrame([days, country]).write_parquet(tmp_path / "x.parquet")
    chunks = list(scan(tmp_path / "x.parquet", RECORD, chunk_rows=4))
    assert [chunk.frame.height for chunk in chunks] == [4, 4, 2]
    typed = pl.concat([read(RECORD, chunk).frame for chunk in chunks])
    assert typed["now"].to_list() == list(range(10)) and typed["row"].to_list() == list(range(1, 11))
    assert typed["party.country"].to_list() == ["IR", None] * 5


def test_an_empty_table_is_a_chunk_without_rows(tmp_path: Path, save: Save) -> None:
    pl.DataFrame(schema={"day": pl.Date}).write_parquet(tmp_path / "x.parquet")
    for path in (tmp_path / "x.parquet", save("x.csv", "day,note\n")):
        chunks = list(scan(path, RECORD))
        assert [read(RECORD, chunk).frame.height for chunk in chunks] == [0]


def test_xlsx_cells_are_read_as_they_stand(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["day", "amount", "note", None, "amount"])
    book.active.append([dt.date(2014, 4, 29), 52.32, "007", "x", None])
    book.active.append([None, None, None, None, None])
    book.active.append(["soon", 5, None, None, 6])
    book.create_sheet("more")
    book.save(tmp_path / "x.xlsx")
    chunk = next(scan(tmp_path / "x.xlsx", RECORD))
    assert (chunk.arrival.nameless, chunk.arrival.duplicates) == (1, ("amount",))
    assert chunk.arrival.notes == ("only the first of 2 sheets is read: `Sheet`",)
    typed = read(RECORD, chunk)
    assert typed.frame.select("day", "amount", "note").rows() == [(16189, 5232, "007")]
    # a row without any cell is passed over and not counted, as a blank line is
    assert typed.rejects.select("row", "reason").rows() == [(2, "time `day` cannot be read as date (like `2026-03-31`): `soon`")]
    assert chunk.frame[NUMBER].to_list() == [1, 2]


# --- several files ---------------------------------------------------------------------------------------------------


def test_rows_keep_their_place_over_files_and_chunks(save: Save) -> None:
    first = save("a.csv", "day,note\n" + "2014-04-29,x\nbad\n" * 5)
    second = save("b.csv", "TRANS DATE,note\n" + "2014-04-30,y\n,z\n" * 5)
    source = Source([first, second], RECORD, chunk_rows=3)
    frames, rejects = [], []
    for chunk in source:
        typed = read(RECORD, chunk)
        frames.append(typed.frame)
        rejects += typed.rejects.select("file", "row").rows()
    whole = pl.concat(frames)
    assert whole["file"].unique().sort().to_list() == ["a.csv", "b.csv"]
    places = [source.place(row) for row in whole[ROW]]
    assert [(Path(path).name, row) for path, row in places] == whole.select("file", "row").rows()
    # equal names in two folders stay apart: a file is named as it was given
    assert sorted(rejects + places) == [(str(path), row) for path in (first, second) for row in range(1, 11)]


def test_names_that_the_data_bring_are_not_replaced(save: Save) -> None:
    chunk: Chunk = next(scan(save("x.csv", "file,row,day\nmine.csv,7,2014-04-29\n"), RECORD))
    assert read(RECORD, chunk).frame.select("file", "row").rows() == [("mine.csv", 7)]


def test_reading_many_rows_keeps_memory_flat(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"day,note\n")
        for _ in range(100):
            file.write(b'2014-04-29,"a, b"\n2014-04-30,"c ""d"""\n' * 500)
    tracemalloc.start()
    rows = sum(chunk.frame.height for chunk in scan(path, RECORD, chunk_rows=10_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 100_000 and peak < 30_000_000
