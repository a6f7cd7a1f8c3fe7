"""Calling a function of a PostgreSQL server by way of psycopg's own hold on libpq: its cursors take longer than the server.

Values go and come in PostgreSQL's binary form.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

WHOLE, BYTES, TEXT = 20, 17, 25
"""The numbers that PostgreSQL gives to its types bigint, bytea and text."""
ARRAYS: Final = {WHOLE: 1016, BYTES: 1001, TEXT: 1009}
_WHOLE: Final = struct.Struct(">q")
_ARRAY: Final = struct.Struct(">iiiii")
_LENGTH: Final = struct.Struct(">i")
_NULL: Final = _LENGTH.pack(-1)


def whole(value: int | None) -> bytes | None:
    """A bigint."""
    return None if value is None else _WHOLE.pack(value)


def array(of: int, items: Sequence[bytes | None]) -> bytes:
    """An array of this type; none stands for null.

    >>> array(TEXT, [b"a", None]).hex(" ", 4)
    '00000001 00000001 00000019 00000002 00000001 00000001 61ffffff ff'
    """
    if not items:
        return _ARRAY.pack(0, 0, of, 0, 0)[:12]
    parts = [_NULL if item is None else _LENGTH.pack(len(item)) + item for item in items]
    return _ARRAY.pack(1, 1, of, len(items), 1) + b"".join(parts)


class Call:
    """A statement that is prepared on a connection once."""

    def __init__(self, psycopg: Any, connection: Any, statement: str, types: Sequence[int]) -> None:
        self._psycopg, self._libpq = psycopg, connection.pgconn
        self._name, self._formats = b"kaskade", [1] * len(types)
        self._checked(self._libpq.prepare(self._name, statement.encode(), types))

    def __call__(self, values: Sequence[bytes | None]) -> list[list[bytes | None]]:
        """The rows it gives."""
        found = self._checked(self._libpq.exec_prepared(self._name, values, self._formats, 1))
        columns = range(found.nfields)
        return [[found.get_value(row, column) for column in columns] for row in range(found.ntuples)]

    def _checked(self, result: Any) -> Any:
        pq, errors = self._psycopg.pq, self._psycopg.errors
        if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            return result
        code, said = (result.error_field(field) for field in (pq.DiagnosticField.SQLSTATE, pq.DiagnosticField.MESSAGE_PRIMARY))
        message = (said or result.error_message).decode(errors="replace")
        if code is None:  # libpq says this, not the server
            raise self._psycopg.OperationalError(message)
        try:
            kind = errors.lookup(code.decode())
        except KeyError:
            kind = self._psycopg.DatabaseError
        raise kind(message)
