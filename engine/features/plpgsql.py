"""What a history in PostgreSQL consists of: its tables, and the functions that run there."""

from __future__ import annotations

from typing import Final

KEPT: Final = "kaskade_"
"""What all names begin with."""
NEW: Final = "kaskade_new_"
"""What they begin with while a history is built that takes the place of another. It is built in one transaction, which nobody sees into."""
_TABLES: Final = ("fact", "event", "change", "note")
_FUNCTIONS: Final = ("append", "put_note")
_GONE: Final = ("lane", "cell")
"""Tables of earlier schemas."""

_MADE: Final = """
CREATE TABLE {of}fact (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE {of}event (key text PRIMARY KEY, kept bytea NOT NULL);
CREATE TABLE {of}change (lane text, number bigint, time bigint NOT NULL, change bytea NOT NULL, PRIMARY KEY (lane, number));
CREATE TABLE {of}note (name text PRIMARY KEY, value text NOT NULL);
"""
# Locks are had in one order by all, so that no two wait for each other, and each statement sees what was there when it began: what is found
# was written before the lock was had.
_LOCK: Final = """
    PERFORM pg_advisory_xact_lock(locks.place) FROM (
      SELECT hashtextextended(own || named, 0) AS place FROM unnest({names}) AS named ORDER BY 1) AS locks;"""

_APPEND: Final = """
CREATE FUNCTION {of}append(own text, assumed bigint, event text, version bytea, keeps bytea, begins bigint,
  lanes text[], numbers bigint[], times bigint[], changes bytea[], gones bigint[])
RETURNS TABLE (part integer, place bigint, number bigint, body bytea) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  IF keeps IS NOT NULL THEN {lock}
  END IF;
  RETURN QUERY
    SELECT 0, 0::bigint, 0::bigint, NULL::bytea
      WHERE (SELECT value FROM {of}fact WHERE name = 'made') IS DISTINCT FROM own
        OR (SELECT value FROM {of}fact WHERE name = 'since') IS DISTINCT FROM assumed::text
    UNION ALL SELECT 1, 0, 0, kept FROM {of}event WHERE key = event AND substr(kept, 1, 16) IS DISTINCT FROM version
    UNION ALL SELECT 2, asked.place, found.number, found.change
      FROM unnest(lanes, numbers) WITH ORDINALITY AS asked (lane, number, place), LATERAL (
        SELECT number, change FROM {of}change WHERE lane = asked.lane AND number > asked.number ORDER BY number OFFSET 0) AS found;
  IF FOUND OR keeps IS NULL THEN RETURN; END IF;
  IF assumed IS NULL THEN
    INSERT INTO {of}fact VALUES ('since', begins) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN RETURN QUERY SELECT 0, 0::bigint, 0::bigint, NULL::bytea; RETURN; END IF;
  END IF;
  INSERT INTO {of}event VALUES (event, keeps) ON CONFLICT (key) DO UPDATE SET kept = excluded.kept;
  INSERT INTO {of}change SELECT lane, number + 1, time, change
    FROM unnest(lanes, numbers, times, changes) AS added (lane, number, time, change) WHERE change IS NOT NULL;
  IF gones IS NOT NULL THEN
    DELETE FROM {of}change AS old USING unnest(lanes, numbers, gones) AS swept (lane, number, gone)
      WHERE swept.gone IS NOT NULL AND old.lane = swept.lane AND old.number <= swept.number AND old.number < coalesce((
        SELECT first.number FROM {of}change AS first WHERE first.lane = swept.lane AND first.time > swept.gone ORDER BY 1 LIMIT 1),
        swept.number + 1);
  END IF;
END $$"""

# Nothing where another history is there.
_PUT_NOTE: Final = """
CREATE FUNCTION {of}put_note(own text, names text[], befores text[], afters text[]) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN {lock}
  IF (SELECT value FROM {of}fact WHERE name = 'made') IS DISTINCT FROM own THEN RETURN NULL; END IF;
  IF EXISTS (SELECT 1 FROM unnest(names, befores) AS asked (name, before)
      WHERE (SELECT value FROM {of}note AS note WHERE note.name = asked.name) IS DISTINCT FROM before) THEN RETURN false; END IF;
  INSERT INTO {of}note SELECT * FROM unnest(names, afters) ON CONFLICT (name) DO UPDATE SET value = excluded.value;
  RETURN true;
END $$"""


def made(of: str) -> list[str]:
    """What makes an empty history whose names begin like this."""
    return [_MADE.format(of=of), *_functions(of)]


def _functions(of: str) -> list[str]:
    alone = of == NEW  # locks would pile up until the end of its transaction
    locks = ("", "") if alone else (_LOCK.format(names="lanes || ('event ' || event)"), _LOCK.format(names="names"))
    return [text.format(of=of, lock=lock) for text, lock in zip((_APPEND, _PUT_NOTE), locks, strict=True)]


def replaced() -> list[str]:
    """What puts the new history in the place of the one that is there, whatever its schema."""
    return [
        *(f"DROP TABLE IF EXISTS {KEPT}{table}" for table in (*_TABLES, *_GONE)),
        *(f"DROP FUNCTION IF EXISTS {of}{function}" for of in (KEPT, NEW) for function in _FUNCTIONS),
        *(f"ALTER TABLE {NEW}{table} RENAME TO {KEPT}{table}" for table in _TABLES),
        *_functions(KEPT),
    ]


def size(of: str) -> str:
    """What asks for the bytes of a history."""
    return " + ".join(f"pg_total_relation_size('{of}{table}')" for table in _TABLES)
