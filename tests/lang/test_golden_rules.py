"""Every mistake in `bad/` is told as the file beside it says; `RESET=1` rewrites those files, and the diff is what gets reviewed."""

import os
import re

import pytest

from tests.lang.golden import BAD, drawn

FILES = sorted(BAD.glob("*.rules"), key=lambda path: path.name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_mistake_is_told_as_expected(path):
    expected = path.with_suffix(".expected")
    told = drawn(path)
    if os.environ.get("RESET"):
        expected.write_text(told, encoding="utf-8")
    assert told == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_named_for_the_mistake_it_holds(path):
    codes = re.findall(r"(?:error|warning)\[([a-z0-9-]+)\]: ", drawn(path))
    assert any(path.stem == code or path.stem.startswith(code + "-") for code in codes), codes


def test_there_are_enough_of_them():
    codes = {code for path in FILES for code in re.findall(r"(?:error|warning)\[([a-z0-9-]+)\]: ", drawn(path))}
    assert len(codes) >= 40
