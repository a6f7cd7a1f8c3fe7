"""Lists of names from what OFAC and the United Nations publish, as CSV files that a list component reads: one name a row, with the id of
who bears it.

    python make_lists.py ofac sdn.csv alt.csv > rulesets/sanctions/ofac_2021.csv
    python make_lists.py ofac sdn.csv > rulesets/sanctions/ofac_2019.csv
    python make_lists.py un consolidated.xml > rulesets/sanctions/un.csv

Ships and aircraft are left out, and aliases the United Nations call of low quality: these are first names and the like, too weak to tell
anybody by.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

Row = tuple[str, str, str]
NOTHING = "-0-"


def text_of(path: str) -> str:
    data = Path(path).read_bytes()
    return (gzip.decompress(data) if path.endswith(".gz") else data).decode("utf-8")


def table(path: str) -> Iterator[list[str]]:
    # the files end with the sign of an old end of file
    return ([cell.strip() for cell in row] for row in csv.reader(io.StringIO(text_of(path))) if len(row) > 3)


def ofac(sdn: str, alt: str | None = None) -> Iterator[Row]:
    """Persons and firms of the list of specially designated nationals, with their other names where these are given."""
    listed = {row[0]: row for row in table(sdn) if row[2] in ("individual", NOTHING)}
    yield from ((entry, row[1], "name") for entry, row in listed.items())
    if alt is not None:
        yield from ((row[0], row[3], row[2]) for row in table(alt) if row[0] in listed)


def un(path: str) -> Iterator[Row]:
    """Persons and groups of the consolidated list, with good aliases and the name as its bearer writes it."""
    for bearer in ElementTree.fromstring(text_of(path)).iter():
        if bearer.tag not in ("INDIVIDUAL", "ENTITY"):
            continue
        entry = said(bearer, "REFERENCE_NUMBER")
        parts = (said(bearer, f"{which}_NAME") for which in ("FIRST", "SECOND", "THIRD", "FOURTH"))
        yield entry, " ".join(part for part in parts if part), "name"
        for alias in bearer.iter(f"{bearer.tag}_ALIAS"):
            if said(alias, "QUALITY") != "Low":
                yield entry, said(alias, "ALIAS_NAME"), "alias"
        yield entry, said(bearer, "NAME_ORIGINAL_SCRIPT"), "original"


def said(node: ElementTree.Element, tag: str) -> str:
    return " ".join((node.findtext(tag) or "").replace("\ufeff", "").split())


def main(kind: str, *paths: str) -> None:
    rows = dict.fromkeys(row for row in {"ofac": ofac, "un": un}[kind](*paths) if any(map(str.isalnum, row[1])))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerows([("entry", "name", "kind"), *rows])


if __name__ == "__main__":
    main(*sys.argv[1:])
