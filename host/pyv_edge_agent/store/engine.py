"""Which SQLite this computer has, and whether it can do what the store asks of it.

What is asked, and since which version it exists: FILTER of aggregates 3.30, window functions
3.25, ON CONFLICT DO UPDATE 3.24, row values 3.15. The functions of JSON are a matter of how it
was built, before 3.38; so all of it is tried.
"""

import sqlite3
from contextlib import closing

VERSION_MIN = (3, 30, 0)

_TRIED = (
    "CREATE TABLE one (id INTEGER PRIMARY KEY, value TEXT) WITHOUT ROWID",
    "INSERT INTO one VALUES (1, '[7]') ON CONFLICT (id) DO UPDATE SET value = excluded.value",
    "SELECT count(*) FILTER (WHERE id > 0), max(json_extract(value, '$[0]')) FROM one",
    "SELECT value FROM json_each('[1]') WHERE (value, 2) < (2, 1)",
    "SELECT row_number() OVER (ORDER BY id) FROM one",
)


def version() -> str:
    """Return the version of the library."""
    return sqlite3.sqlite_version


def fault(
    found: tuple[int, ...] = sqlite3.sqlite_version_info, tried: tuple[str, ...] = _TRIED
) -> str:
    """Return why the store can't work with a library of version `found`, "" if it can.

    `tried` are the statements that must go.
    """
    if found < VERSION_MIN:
        return f"the store needs {'.'.join(map(str, VERSION_MIN))} or later"
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in tried:
            try:
                connection.execute(statement).fetchall()
            except sqlite3.Error as error:
                return f"it was built without what the store needs: {error}"
    return ""
