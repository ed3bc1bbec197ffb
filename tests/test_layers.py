"""Imports go downwards only: this list is the architecture."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import newsletter

LAYERS = (
    # words
    "errors models",
    # pure: values in, values out; no clock, disk, network, database
    "text tokens rates",
    "config cadence",
    "recipients",
    "identity csv_columns",
    "csv_import csv_export",
    "formats",
    "diff holds silence content domains feeds readerlinks",
    "paper_block",
    "subject",
    "compose",
    # edges: the only modules that touch the outside
    "templating resolver",
    "sources storage render transports notices",
    "message verdicts",
    "gate letters",
    # use cases: transactions are drawn here
    "reports editing",
    "snapshot_processing capture_store planning",
    "parsed_spool snapshot_review",
    "ingest",
    "preview activation suppression visitor_mail delivery",
    "subscriptions subscriber_import signups visitor_requests expiry",
    "choices",
    # the one place where concrete parts are put together
    "app source_ingest",
    # ways in
    "web",
    "service",
    "cli",
    "__main__",
)
"""A module may import from the rows above its own, and from its own directory."""

PURE = """
    text config identity formats diff holds silence content paper_block subject compose
    cadence recipients csv_columns csv_import csv_export tokens verdicts rates domains feeds
    readerlinks
"""
FILES = ("newsletter.text.files", "newsletter.config.file")
"""Modules of pure packages that read and write files; no pure module may import them."""

ACTING = {
    "httpx2", "httpcore2", "socket", "smtplib", "sqlite3", "sqlalchemy", "alembic", "subprocess",
    "shutil", "tempfile", "random", "threading", "os", "time", "mjml",
}  # fmt: skip

PACKAGE = Path(newsletter.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))


def _unit(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


UNITS = [path for path in MODULES if _unit(path) != "__init__"]
"""All modules but the package's own `__init__`."""


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _height(unit: str) -> int:
    return next(row for row, units in enumerate(LAYERS) if unit in units.split())


def test_the_package_itself_imports_nothing_of_ours() -> None:
    """Its version can be asked without the rest."""
    names = _imports(PACKAGE / "__init__.py")
    assert not [name for name in names if name.startswith("newsletter")]


@pytest.mark.parametrize("path", UNITS, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downwards(path: Path) -> None:
    """Every import of ours is from a lower row, or from the module's own directory."""
    unit = _unit(path)
    for name in _imports(path):
        if not name.startswith("newsletter.") or name == "newsletter.__version__":
            continue
        other = name.split(".")[1]
        assert other == unit or _height(other) < _height(unit), f"{unit} imports {name}"


@pytest.mark.parametrize("unit", PURE.split())
def test_pure_units_are_there(unit: str) -> None:
    """What is called pure exists: a name that is left over would check nothing."""
    assert [path for path in UNITS if _unit(path) == unit]


@pytest.mark.parametrize(
    "path",
    [path for path in UNITS if _unit(path) in PURE.split()],
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_pure_modules_touch_nothing(path: Path) -> None:
    """Pure modules import nothing that acts, and never ask for the time."""
    assert not {name.split(".")[0] for name in _imports(path)} & ACTING
    calls = {
        ast.unparse(n.func)
        for n in ast.walk(ast.parse(path.read_text()))
        if isinstance(n, ast.Call)
    }
    assert not calls & {"open", "datetime.now", "date.today", "datetime.today", "datetime.utcnow"}


def test_only_storage_knows_sql() -> None:
    """No module outside `storage` imports from SQLAlchemy more than the connection's type."""
    others = [path for path in MODULES if _unit(path) != "storage"]
    assert 0 < len(others) < len(MODULES)
    for path in others:
        found = {name for name in _imports(path) if name.startswith("sqlalchemy")}
        assert found <= {"sqlalchemy.Connection"}, path


def test_every_module_stands_in_a_layer() -> None:
    """A new module is put into the list on purpose."""
    listed = {unit for row in LAYERS for unit in row.split()}
    assert {_unit(path) for path in UNITS} == listed
