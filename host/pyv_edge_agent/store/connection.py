"""How a connection to the store is set up, and who may have one.

One process writes, under a lock on a file beside the store; any number read.
"""

import fcntl
import os
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..clock import Clock
from ..disk import beside, size
from ..errors import StoreBrokenError, StoreError, StoreFullError, StoreRefusedError
from . import wal
from .migration import migrate
from .schema import APPLICATION_ID, PAGE_SIZE, SCHEMA_VERSION, TABLES, VIEWS
from .schema_copy import has_columns

# What stands beside a store, its name before it: of SQLite, and of this program.
_BESIDE = re.compile(
    r"-wal|-shm|-journal|\.lock|\.schema|\.set-aside|\.reserve|\.copy|(\.[0-9a-f]{8})?\.new"
    r"|\.(broken|replaced)-\d+.*|\.v\d+\.backup.*"
)
LOCK_TRIES, LOCK_WAIT_S = 3, 0.02  # somebody may just look whether it is locked
SET_ASIDE = ".set-aside"  # beside a store: that a damaged one is owed a salvage
BUSY_TIMEOUT_MS = 5000
_LIMIT_STEPS = 100_000  # of SQLite's machine, between two looks at the clock
_APPLICATION_ID_AT = 68  # of SQLite's file format, section 1.3
JOURNAL_SIZE_MAX = 4_194_304  # bytes of WAL that stay on the disk after a checkpoint

# The texts are for Python 3.10, whose errors have no code.
_FULL = (13, "disk is full")
_REFUSED = (  # by the disk: read-only, an I/O error, not to be opened
    *((8, "attempt to write a readonly database"), (10, "disk I/O error")),
    (14, "unable to open database file"),
)
_UNTOLD = "the file is damaged"  # an error of SQLite's that says nothing
_BROKEN = (
    *((11, "disk image is malformed"), (11, "malformed database schema")),
    (26, "file is not a database"),
    (256, "Could not decode to UTF-8"),  # a text; has no code
)


def store_error(path: Path, error: sqlite3.Error) -> StoreError:
    """Return the StoreError that stands for an error of SQLite."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    kind = StoreError
    if not str(error) and type(error) is sqlite3.DatabaseError:
        return StoreBrokenError(f"{path}: {_UNTOLD}")  # as of damage in the schema
    if code == _FULL[0] or _FULL[1] in str(error):
        kind = StoreFullError
    elif any(code == known or text in str(error) for known, text in _BROKEN):
        kind = StoreBrokenError
    elif any(code == known or text in str(error) for known, text in _REFUSED):
        kind = StoreRefusedError
    return kind(f"{path}: {error}")


@contextmanager
def time_limit(connection: sqlite3.Connection, clock: Clock, within_ms: int) -> Iterator[None]:
    """Interrupt what is run inside when `within_ms` are over. Raises TimeoutError then."""
    end_ms = clock.monotonic_ms() + within_ms
    connection.set_progress_handler(lambda: clock.monotonic_ms() > end_ms, _LIMIT_STEPS)
    try:
        yield
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        raise TimeoutError from error
    finally:
        connection.set_progress_handler(None, 0)


def lock(path: Path) -> int:
    """Make this process the only writer of the store at `path`; return the lock's descriptor.

    Two agents on one store would each move the cursors. The lock ends with the
    process, however that ends. Raises StoreError.
    """
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            problem = f"{error.filename} is no folder, nor a link to one that is there"
            raise StoreError(f"{path}: {problem}; check storage.path") from error
        descriptor = os.open(
            f"{path.resolve()}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
        )
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: can't be opened: {error}; check storage.path") from error
    for _ in range(LOCK_TRIES):
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        threading.Event().wait(LOCK_WAIT_S)
    os.close(descriptor)
    raise StoreError(f"{path}: is in use by another agent; stop it or change storage.path")


def is_in_use(path: Path) -> bool:
    """Return whether an agent has the store at `path`, or that can't be told."""
    try:
        descriptor = os.open(f"{path.resolve()}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def note_store(descriptor: int, store_id: str) -> str:
    """Write into the locked file beside a store that there is one; return which was there before.

    So that a damaged store can be told from another program's file. "" if there was none.
    """
    text = f"{store_id}\n".encode()
    before = os.pread(descriptor, 64, 0)
    if before != text:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text, 0)
    return before.decode(errors="replace").strip()


def is_beside(path: Path, store: Path) -> bool:
    """Return whether a file has a name that goes with the store; both without links."""
    end = path.name[len(store.name) :]
    is_near = path.parent == store.parent and path.name.startswith(store.name)
    return is_near and _BESIDE.fullmatch(end) is not None


def is_store(path: Path) -> bool:
    """Return whether the file at `path` says that it is a store."""
    with suppress(OSError, ValueError), path.open("rb") as file:
        file.seek(_APPLICATION_ID_AT)
        return file.read(4) == APPLICATION_ID.to_bytes(4, "big")
    return False


def was_store(path: Path) -> bool:
    """Return whether the file at `path` is known to be or to have been a store."""
    if is_store(path):
        return True
    with suppress(OSError):
        return Path(f"{path.resolve()}.lock").stat().st_size > 0
    return False


def open_raw(path: Path, mode: int = os.O_RDONLY) -> int:
    """Return a descriptor of the file at a path. Raises StoreError.

    It must not be closed while the process has a connection to that file: with any descriptor
    of a file go all locks that SQLite has on it, and other programs then delete its WAL
    (sqlite.org/howtocorrupt.html, 2.2).
    """
    try:
        return os.open(path, mode | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"{path}: can't be opened: {error}") from error


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open the file for writing, making it if need be. Raises StoreError."""
    try:
        connection = sqlite3.connect(
            path,
            timeout=BUSY_TIMEOUT_MS / 1000,
            isolation_level=None,  # transactions are ours to begin
            check_same_thread=False,  # and guarded by the store's lock
        )
    except (OSError, ValueError, sqlite3.Error) as error:
        raise StoreError(f"{path}: can't be opened: {error}; check storage.path") from error
    try:
        _prepare(connection, path)
    except UnicodeDecodeError as error:  # SQLite repeats what it can't read
        connection.close()
        raise StoreBrokenError(f"{path}: {error}; check storage.path") from error
    except (sqlite3.Error, StoreError) as error:
        connection.close()
        if isinstance(error, StoreError):
            raise
        found = store_error(path, error)
        raise type(found)(f"{found}; check storage.path") from error
    return connection


def _identity(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return whose file it is, and of which version."""
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version")
    )
    return application, version


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    application, version = _identity(connection)
    is_new = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not is_new and application != APPLICATION_ID:
        if has_columns(connection):
            raise StoreBrokenError(f"{path}: its application id is not what it was")
        raise StoreError(f"{path}: is a database of another program; check storage.path")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path}: has schema {version}, this program knows {SCHEMA_VERSION}; use a newer one"
        )
    if is_new:
        # Small pages: a commit rewrites whole ones, and the last page is in every commit.
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL, because an acknowledgement is a promise: NORMAL may lose the last commits
    # to a power cut.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_SIZE_MAX}")
    if not is_new and version < SCHEMA_VERSION:
        migrate(connection, path, version)
    elif is_new:
        connection.executescript(
            "BEGIN IMMEDIATE;"
            + TABLES
            + VIEWS
            + "INSERT INTO meta VALUES ('store_id', lower(hex(randomblob(8))));"
            + f"PRAGMA application_id = {APPLICATION_ID};"
            + f"PRAGMA user_version = {SCHEMA_VERSION};"
            + "COMMIT;"
        )


def connect_reader(
    path: Path, *, is_alone: bool = False, is_any_schema: bool = False
) -> sqlite3.Connection:
    """Open an existing store for reading only. Raises StoreError, unless told also for its schema.

    `is_alone` leaves the WAL beside it unread.
    """
    try:
        if not path.is_file():
            raise StoreError(f"{path}: there is no store; has the agent run, and with this path?")
        if not is_alone:
            _check_readable(path)
        try:
            options = "mode=ro&immutable=1" if is_alone else "mode=ro"
            connection, application, version = _open_reader(path, options)
        except sqlite3.OperationalError:
            # WAL wants to write beside the file even for reading. Evidence on a read-only
            # medium can be read all the same, provided that nothing waits in the WAL.
            if size(beside(path, "-wal")) or is_in_use(path):
                raise
            connection, application, version = _open_reader(path, "mode=ro&immutable=1")
    except sqlite3.Error as error:
        kind = type(store_error(path, error))
        raise kind(f"{path}: can't be read: {str(error) or _UNTOLD}") from error
    except UnicodeDecodeError as error:  # SQLite repeats what it can't read
        raise StoreBrokenError(f"{path}: can't be read: {error}") from error
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: can't be read: {error}") from error
    if application != APPLICATION_ID:
        connection.close()
        raise StoreError(f"{path}: is not a store of this program")
    if version != SCHEMA_VERSION and not is_any_schema:
        connection.close()
        remedy = "use a newer one"
        if version < SCHEMA_VERSION:
            remedy = "let the agent run once, which makes a backup first"
        raise StoreError(
            f"{path}: has schema {version}, this program knows {SCHEMA_VERSION}; {remedy}"
        )
    return connection


def _check_readable(path: Path) -> None:
    """Raise StoreBrokenError for a store that SQLite would read only a part of.

    And forget the rest: it deletes the WAL of an empty file, and what tells how far a WAL went.
    """
    remedy = "let the agent start, which saves what can be read"
    if wal.is_orphan(path):
        raise StoreBrokenError(f"{path}: the file is empty, and its WAL is not; {remedy}")
    lost = "" if is_in_use(path) else wal.lost(path)
    if lost and not is_in_use(path):  # else it was written just then
        raise StoreBrokenError(f"{path}: {lost}; {remedy}")


def _open_reader(path: Path, options: str) -> tuple[sqlite3.Connection, int, int]:
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?{options}",
        uri=True,
        timeout=BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        # A query of the file, since opening alone reads nothing.
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return connection, *_identity(connection)
    except sqlite3.Error:
        connection.close()
        raise
