"""Files as UTF-8 blocks of whole lines, with memory flat whatever the file holds. It must not know what stands in the lines."""

from __future__ import annotations

import codecs
import gzip
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT: Final = 1_000_000
"""How many bytes one row may have."""
HEAD: Final = 1_000
"""How many bytes of a longer line are kept, to find it by."""
BLOCK: Final = 1 << 18

_PACKED: Final = {b"PAR1": (".parquet", "Parquet"), b"\x1f\x8b": (".gz", "gzip"), b"PK\x03\x04": (".xlsx", "a zip archive, like XLSX")}
"""How files begin that hold no text, and what they should be called."""

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class Long:
    """A line of more than `LIMIT` bytes: its beginning and its length."""

    head: bytes
    size: int


def label(path: Path) -> str:
    """The file's name as text; a byte of it that is no UTF-8 shows as its number.

    >>> label(Path("feeds") / "caf\\udce9.csv")
    'caf\\\\xe9.csv'
    """
    return whole_name(Path(path.name))


def whole_name(path: Path) -> str:
    """The file's name with its folders, as it was given."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def blocks(path: Path, encoding: str | None, notes: list[str]) -> Iterator[bytes | Long]:
    """The file, unpacked and in UTF-8 without byte order mark, in blocks of whole lines; the last one ends with a line end too.

    `encoding` is that of a file without byte order mark; `notes` takes what a reader should be told. Raises `InputError` for a file that is
    not there, empty, cut off, or not in its encoding.
    """
    rest, long = b"", None
    for piece in _utf8(path, encoding, notes):
        if long is not None:
            end = piece.find(b"\n")
            long = Long(long.head, long.size + (len(piece) if end < 0 else end))
            if end < 0:
                continue
            yield long
            long, piece = None, piece[end + 1 :]
        whole = rest + piece
        cut = whole.rfind(b"\n") + 1
        rest = whole[cut:]
        if cut:
            yield whole[:cut]
        if len(rest) > LIMIT:
            long, rest = Long(rest[:HEAD], len(rest)), b""
    if long is not None:
        yield long
    if rest:
        yield rest + b"\n"


def _utf8(path: Path, encoding: str | None, notes: list[str]) -> Iterator[bytes]:
    """The file in UTF-8, piece by piece."""
    pieces = _unpacked(path)
    first = next(pieces, b"")
    if not first:
        raise InputError(f"`{label(path)}` is empty")
    suffix, what = next((_PACKED[sign] for sign in _PACKED if first.startswith(sign)), (None, None))
    if suffix is not None:
        raise InputError(f"`{label(path)}` is no text, it holds {what}: give it a name that ends with {suffix}")
    mark, codec = next(((mark, name) for mark, name in _MARKS if first.startswith(mark)), (b"", encoding or "utf-8"))
    decoder, same = _decoder(codec)
    if mark and not same:
        notes.append(f"read as {codec[:6].upper()}, as its byte order mark says")
    offset, piece = len(mark), first[len(mark) :]
    while True:
        text = _decoded(decoder, piece, offset, label(path), codec)
        if piece:
            yield piece if same else text.encode("utf-8", "surrogatepass")
        offset += len(piece)
        following = next(pieces, None)
        if following is None:
            break
        piece = following
    _decoded(decoder, b"", offset, label(path), codec, final=True)


def _decoder(codec: str) -> tuple[codecs.IncrementalDecoder, bool]:
    """A decoder, and whether it is that of UTF-8."""
    try:
        # codecs that turn text into text, or bytes into bytes, have names too; these fail on the first byte
        decoder = codecs.getincrementaldecoder(codec)()
        if isinstance(decoder.decode(b""), str) and b"".decode(codec) == "":
            return decoder, codecs.lookup(codec).name == "utf-8"
    except (LookupError, TypeError, ValueError):
        pass
    raise InputError(f"there is no encoding `{codec}`; names are like cp1251, cp1252, utf-16-le") from None


def _decoded(decoder: codecs.IncrementalDecoder, piece: bytes, offset: int, name: str, codec: str, final: bool = False) -> str:
    pending = decoder.getstate()[0]
    try:
        return decoder.decode(piece, final)
    except UnicodeDecodeError as error:
        at = offset - len(pending) + error.start
        byte = error.object[error.start]
        raise InputError(
            f"`{name}` is not {codec.upper()}: byte 0x{byte:02x} at offset {at}; say what it is, like `--encoding cp1251`"
        ) from None


def _unpacked(path: Path) -> Iterator[bytes]:
    """The bytes of the file, of a ``.gz`` what is packed in it."""
    done = 0
    try:
        # read at once what is there: a buffer that waits to be full would not hear Ctrl-C while a feed is silent
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb", buffering=0) as file:
            while piece := file.read(BLOCK):
                done += len(piece)
                yield piece
    except EOFError:
        raise InputError(f"`{label(path)}` breaks off: the packed file ends after {done} unpacked bytes") from None
    except (gzip.BadGzipFile, zlib.error):
        raise InputError(f"`{label(path)}` is damaged: it cannot be unpacked beyond {done} bytes") from None
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {(error.strerror or 'input error').lower()}") from None
