"""Lists in CSV files as they come: an entry that is lost in silence is a payment that is not stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import Engine
from tests.bad_input.conftest import CASCADE, Command

RULES, LIST = Path("rulesets/shop/checks.rules"), Path("rulesets/shop/served.csv")
WRITTEN = 'list served = ("GB", "IE", "FR", "DE")'
Tell = Callable[..., str]


@pytest.fixture
def tell(engine: Command, shop: Path) -> Tell:
    """What `engine check` and `engine decide` say of a list with this content, or in a file of this name."""

    def call(content: str | bytes | None, name: str = "served.csv") -> str:
        RULES.write_text(RULES.read_text().replace(WRITTEN, f'list served from "{name}" column "iso2"'))
        if content is not None:
            LIST.write_bytes(content.encode() if isinstance(content, str) else content)
        checked, decided = engine("check"), engine("decide", CASCADE, "event.json")
        assert checked.code == decided.code == 1 and "checks.rules:10:13: error[" in checked.out
        assert decided.err.splitlines()[0] == checked.out.splitlines()[0]
        return checked.out

    return call


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("\0" * 1_000, "holds zero bytes in line 1"),
        ("iso2\nGB\nF\0R\n", "holds zero bytes in line 3"),
        ("iso2\nGB\n".encode("utf-16"), "holds zero bytes in line 1: it is damaged, or not saved as UTF-8"),
        ("iso2\n" + "GB\n" * 50_000 + "РФ\n", "is not UTF-8 text: line 50002 does not fit"),
        ("iso2,name\nGB,Britain\nIE\n", "has another number of cells in row 3 than in its header: 1, not 2"),
        ("iso2\nGB\nIE,FR\n", "has another number of cells in row 3 than in its header: 2, not 1"),
        ('iso2\n"GB\nIE\n', "is not a table: unexpected end of data"),
        ("iso2,iso2\nGB,IE\n", "has two columns `iso2`"),
        ("GB\nIE\n", "has no column `iso2`; it has `GB`"),
    ],
)
def test_a_list_that_may_have_lost_an_entry_is_refused(tell: Tell, content: str | bytes, said: str) -> None:
    data = content.encode("cp1251") if isinstance(content, str) and "РФ" in content else content
    assert f"the file `served.csv` {said}" in tell(data)


@pytest.mark.parametrize("content", [b"x" * 20_000_000, b"iso2\n" + b"," * 20_000_000], ids=["header", "row"])
def test_a_line_of_20_mb_is_not_read_to_its_end(tell: Tell, content: bytes) -> None:
    assert "has more than 1_000_000 bytes in line" in tell(content)


@pytest.mark.parametrize("name", ["../../../secret.csv", "/etc/passwd"])
def test_a_path_that_leaves_the_workspace_is_refused(tell: Tell, shop: Path, name: str) -> None:
    (shop.parent / "secret.csv").write_text("iso2\nGB\n")
    assert f"error[path-outside]: the file `{name}` lies outside the workspace" in tell(None, name)


def test_a_link_that_leaves_the_workspace_is_refused(tell: Tell, shop: Path) -> None:
    (shop.parent / "secret.csv").write_text("iso2\nGB\n")
    LIST.symlink_to(shop.parent / "secret.csv")
    assert "error[path-outside]" in tell(None)


def test_a_file_that_is_not_there_or_a_folder_is_told(tell: Tell) -> None:
    assert "cannot be read: there is no such file" in tell(None)
    LIST.mkdir()
    assert "cannot be read: is a directory" in tell(None)


@pytest.mark.parametrize(
    "content",
    ["\ufeffiso2\nGB\n", "iso2\r\nGB\r\n", "iso2\rGB\r", 'name,iso2\n"Britain, Great",GB\n\n'],
    ids=["BOM", "CRLF", "CR", "quotes"],
)
def test_forms_of_text_make_no_difference(engine: Command, shop: Path, content: str) -> None:
    RULES.write_text(RULES.read_text().replace(WRITTEN, 'list served from "served.csv" column "iso2"'))
    LIST.write_bytes(content.encode())
    (shop / "x.json").write_text((shop / "event.json").read_text().replace('"US"', '"GB"'))
    assert "ABROAD-01" not in engine("decide", CASCADE, "x.json", "--json").json["hits"]


def test_five_million_entries_are_all_there(shop: Path) -> None:
    RULES.write_text(RULES.read_text().replace(WRITTEN, 'list served from "served.csv" column "iso2"'))
    with LIST.open("w") as file:
        file.write("iso2\n")
        file.writelines(f"E{number}\n" for number in range(5_000_000))
    loaded, event = Engine.load(CASCADE), json.loads((shop / "event.json").read_text())
    hits = [loaded.decide({**event, "country": entry}).hits for entry in ("E0", "E4999999", "E5000000")]
    assert ["ABROAD-01" in one for one in hits] == [False, False, True]
