"""Every function of `storage` raises the right error when the database is locked or damaged.

The functions and their arguments are derived from their signatures, so that a new function is
covered as soon as it is written. In the database used here, every table has rows, every number
is 1 and every name is "a".
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import shutil
import sqlite3
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ColumnElement, Connection, Engine, event, insert, select, true

from newsletter import storage
from newsletter.errors import DatabaseDamaged, DatabaseLocked, StorageError
from newsletter.models import (
    Capture,
    Change,
    DeliveryState,
    EntryKind,
    KnownPaper,
    Paper,
    Rendered,
    Sighting,
)
from newsletter.storage import (
    editions,
    health,
    installation,
    log,
    notices,
    requests,
    sightings,
    snapshots,
    sources,
    subscribers,
)
from newsletter.storage.columns import metadata
from newsletter.storage.database import Database
from newsletter.storage.requests import RequestKind
from newsletter.storage.schema import breakers, deliveries
from newsletter.storage.subscribers import Newcomer, Preferences

NOW = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)
_PAGE = 4096

MODULES = [
    importlib.import_module(f"{storage.__name__}.{found.name}")
    for found in pkgutil.iter_modules(storage.__path__)
    if found.name not in ("chunks", "columns", "migrations", "schema")
]


def _first_parameter(function: Callable[..., Any]) -> Any:
    hints = typing.get_type_hints(function)
    return next((hints.get(name) for name in inspect.signature(function).parameters), None)


FUNCTIONS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": function
    for module in MODULES
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__
    and not name.startswith("_")
    and _first_parameter(function) in (Connection, Database)
}


# --- functions that write: found by what they call, down to SQLAlchemy


def _definitions(module: types.ModuleType) -> dict[str, set[str]]:
    """Returns the full names that each top-level name of a module mentions."""
    tree = ast.parse(inspect.getsource(module))
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    found: dict[str, set[str]] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        else:
            continue
        mentions = set()
        for part in ast.walk(node):
            if isinstance(part, ast.Name):
                mentions.add(imported.get(part.id, f"{module.__name__}.{part.id}"))
            elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
                mentions.add(f"{imported.get(part.value.id, part.value.id)}.{part.attr}")
        found |= {f"{module.__name__}.{name}": mentions for name in names}
    return found


def _writing() -> set[str]:
    """Returns the full names of everything that leads to an INSERT, UPDATE or DELETE."""
    mentions = {name: said for module in MODULES for name, said in _definitions(module).items()}
    writing = {
        f"sqlalchemy{dialect}.{verb}"
        for dialect in ("", ".dialects.sqlite")
        for verb in ("insert", "update", "delete")
    }
    while more := {name for name, said in mentions.items() if said & writing} - writing:
        writing |= more
    return writing


_WRITING = _writing()
WRITERS = [name for name in FUNCTIONS if f"{storage.__name__}.{name}" in _WRITING]


# --- arguments


def made(annotation: Any) -> Any:
    """Returns a value of this type: numbers are 1, texts "a", collections have one item."""
    simple = {
        int: 1, float: 1.0, str: "a", bytes: b"a" * 32, bool: True, datetime: NOW, date: NOW.date(),
        object: "a", Any: "a",
    }  # fmt: skip
    if annotation in simple:
        return simple[annotation]
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return None if type(None) in inner else made(inner[0])
    if origin is tuple:
        return tuple(made(one) for one in inner if one is not Ellipsis)
    if origin is ColumnElement:
        return true()
    if origin in (set, frozenset):
        return {made(inner[0])}
    if origin in (list, Sequence, Collection, Iterable, Iterator):
        return [made(inner[0])]
    if origin in (dict, Mapping):
        return {made(inner[0]): made(inner[1])}
    if inspect.isclass(annotation) and issubclass(annotation, Enum):
        return next(iter(annotation))
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return annotation(**arguments(annotation))
    raise TypeError(f"teach this test to make a {annotation}")


def arguments(function: Callable[..., Any]) -> dict[str, Any]:
    """Returns values for the parameters without a default, except transactions and databases."""
    hints = typing.get_type_hints(function)
    return {
        name: made(hints[name])
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is parameter.empty
        and name != "self"
        and hints[name] not in (Connection, Database)
    }


SAID: dict[str, dict[str, Any]] = {
    "installation.count_outcomes": {"accepted": 1},
    # In state `queued` there is none, so SQLite would not need to read the table.
    "deliveries.newest": {"state": DeliveryState.UNKNOWN},
    # It asks nothing about papers without a known day.
    "sightings.listing_days": {
        "known": [KnownPaper(Paper("a"), 1, sighting=Sighting({}, last_day=NOW.date()))]
    },
}
"""Arguments for functions that would otherwise return without asking the database."""


def call(name: str, database: Database, reading: bool) -> object:
    """Calls a function and reads its whole result, in a transaction if it takes one."""
    function = FUNCTIONS[name]
    given = arguments(function) | SAID.get(name, {})
    if _first_parameter(function) is Database:
        return function(database, **given)
    with database.read() if reading else database.write() as tx:
        found = function(tx, **given)
        return list(found) if isinstance(found, Iterator) else found


@contextmanager
def statements() -> Iterator[list[str]]:
    """Yields the list of SQL statements executed in the context, except BEGIN and COMMIT."""
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA busy_timeout")):
            seen.append(statement.strip())

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


# --- databases


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with rows in every table."""
    path = tmp_path_factory.mktemp("filled") / "a.db"
    with Database(f"sqlite:///{path}") as database:
        with database.write() as tx:
            _fill(tx)
        with database.read() as tx:
            empty = {
                table.name
                for table in metadata.sorted_tables
                if tx.execute(select(table).limit(1)).first() is None
            }
    assert not empty
    return path


def _fill(tx: Connection) -> None:
    source = sources.ensure(tx, "a").id
    capture = Capture(b"a", "a", NOW, etag="a")
    sources.remember_validators(tx, source, capture)
    snapshots.store(tx, source, capture, opening=True)
    paper = Paper("a", listed_on=NOW.date())
    change = Change(-1, paper, ("a",), EntryKind.NEW, paper, 1, paper.record(), listed=True)
    log.append(tx, sightings.Occasion(source, 1, NOW), [change])
    editions.freeze(tx, "a", [1], "a", "a", [Rendered("a", "a", "a")], NOW, held="a")
    editions.pass_over(tx, [1])
    newcomers = [Newcomer(name, name, "a", Preferences(), NOW) for name in ("a", "b")]
    subscribers.add(tx, newcomers, 1, NOW)
    subscribers.change(tx, 2, Preferences(""), None)  # like a group without further values
    subscribers.suppress(tx, b"a" * 32, "a", NOW)
    requests.ask(tx, RequestKind.SUBSCRIBE, "a", "a", NOW)
    notices.add(tx, "a", "a", "a", "a", "a", NOW)
    installation.count_sendings(tx, NOW, 1)
    tx.execute(insert(breakers).values(domain="a", opened_at=NOW, reason="a", probe_at=NOW))
    states = [(subscriber, state) for subscriber in (1, 2) for state in DeliveryState]
    tx.execute(
        insert(deliveries),
        [
            {
                "edition_id": 1,
                "part": part,
                "subscriber_id": subscriber,
                "state": state,
                "claimed_by": "a",
                "changed_at": NOW,
            }
            for part, (subscriber, state) in enumerate(states)
        ],
    )


@pytest.fixture
def database(filled: Path, tmp_path: Path) -> Iterator[Database]:
    """A copy of the filled database, opened so that it does not wait for locks."""
    folder = tmp_path / "here"
    folder.mkdir()
    shutil.copy(filled, folder / "a.db")
    with Database(f"sqlite:///{folder}/a.db", busy_seconds=0) as opened:
        yield opened


def damage(path: Path) -> None:
    """Overwrites all pages but the first, which identifies the file.

    Pages that connections have cached no longer count, because the file has changed.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("UPDATE alembic_version SET version_num = version_num")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        pages = path.stat().st_size // _PAGE
        file.seek(_PAGE)
        file.write(b"\xa5" * _PAGE * (pages - 1))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another connection holds a write transaction during the context."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


# --- the contract


def test_functions_are_found() -> None:
    """The search for functions finds known ones."""
    assert {"subscribers.find", "subscribers.activate", "pruning.prune"} <= FUNCTIONS.keys()
    assert {"subscribers.activate", "log.append", "installation.count_sendings"} <= set(WRITERS)
    assert not {"subscribers.find", "log.head", "health.revision"} & set(WRITERS)


@pytest.mark.parametrize("name", WRITERS)
def test_functions_that_write_report_a_locked_database(name: str, database: Database) -> None:
    """The writing statement raises it: the transaction began earlier, and waits for no lock."""
    with statements() as seen, locked(database.file), pytest.raises(DatabaseLocked):
        call(name, database, reading=True)
    if _first_parameter(FUNCTIONS[name]) is Connection:
        assert seen[-1].startswith(("INSERT", "UPDATE", "DELETE"))


WITHOUT_STATEMENTS = {"database.kept_if"}
"""It wraps the statements of its caller, each of which is checked here separately."""
HEADER = {"erasure.note", "erasure.noted"}
"""They need only the first page, which is not damaged here."""
OTHERS = WITHOUT_STATEMENTS | HEADER | {"health.damages"}


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - OTHERS))
def test_functions_report_a_damaged_database(name: str, database: Database) -> None:
    """A statement of the function itself raises the error."""
    damage(database.file)
    with statements() as seen, pytest.raises(DatabaseDamaged):
        call(name, database, reading=name not in WRITERS)
    assert seen


def test_the_damage_check_finds_damage(database: Database) -> None:
    """It is the only function that returns damage instead of raising an error."""
    damage(database.file)
    with database.read() as tx:
        assert health.damages(tx)


METHODS = {
    name: member
    for name, member in inspect.getmembers(Database)
    if not name.startswith("_") and name not in ("file", "close")  # touch no file
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_report_a_missing_folder(name: str, database: Database) -> None:
    """The open connections are closed, so that the method needs the file."""
    database.close()
    database.file.parent.rename(database.file.parent.with_name("gone"))
    with pytest.raises(StorageError):
        _use(database, name)


@pytest.mark.parametrize("name", ["write", "check_writable"])
def test_methods_that_write_report_a_locked_database(name: str, database: Database) -> None:
    """Reading still works: an uncommitted write is not visible."""
    with locked(database.file):
        with pytest.raises(DatabaseLocked):
            _use(database, name)
        with database.read() as tx:
            assert installation.get(tx).paused_at is None


def _use(database: Database, name: str) -> None:
    if not callable(METHODS[name]):
        getattr(database, name)
        return
    done = getattr(database, name)(**arguments(METHODS[name]))
    if isinstance(done, AbstractContextManager):
        with done:
            pass
