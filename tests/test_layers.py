"""Modules import only from lower layers. The list of layers is in the order of the flow."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

import newsletter

LAYERS = """
masks
errors models
text: clean counted dates colour json_line tex_symbols zones | urls tex_formulas | tex
text: excerpt fingerprint files! | private_files!
config: toml_lines | toml_settings toml_sources values
config: schema | problems | parse permissions! | file! | edit!
sources!
formats
messages: feedback_id tokens slots | mime! | dkim links | personalised!
storage!
papers: parser_messages reading_time identity | parser_worker! parser_process! | parsers!
papers: changes review report! | capture_store! snapshot_processing!
papers: parsed_spool! snapshot_review! source_rename! | ingest! | source_ingest!
editions: content notice_kinds | paper_block | subject | compose
editions: template_errors! mjml! | templating!
editions: skeleton! | render! notices!
editions: validate | build! | preview!
planning: cadence | rules! | view! due_times! edition_review! | freezing! | plan! | planner!
subscribers: address pause_end other_services | csv_columns | csv_import csv_export
subscribers: suppression! activation! visitor_mail!
subscribers: lifecycle! list_import! suppression_undo! visitor_requests! expiry! signup!
subscribers: settings_links! | preferences!
transports: replies mail_servers | wire! | base! | filing! opening! smtp_checks! | smtp_session!
transports: eml! maildir! null! smtp! | table!
delivery: retry throttle | outcomes | breaker queue! stop! personalise! | refusals!
delivery: recorder! workers! | dead_claims! | loop! | run!
delivery: sending! records! | send_test!
app: clock! open_files! temporary_folder! service_units
app: reason_words source_remarks source_places! backup_rotation alert_reports alert_channels!
app: undelivered | idle unsent_reasons!
app: edition_factories! automatic_backups! | dkim_keys! alert_conditions! | factories!
app: status! alerts!
app: inspection! site source_checks! source_setup! unfinished
app: template_samples! edition_previews! | template_check!
app: trace! subscriber_use_cases! | composition! | maintenance! throw_away! dry_run!
app: service_install! initial_setup! source_renaming! | setup_answers!
app: doctor.findings | doctor.records | doctor!
web: feeds networks strict_http repetitions! | limits! connections! cache! heartbeat!
web: archive_content!
web!
service!
cli!
__main__!
"""
"""A unit is a module or a package; after `package:` its modules follow.

A module may import from the units before it, and a unit of several modules from itself. Units
that are not separated by `|` are in one layer and do not import each other. `!` marks a unit with
effects: clock, disk, network, processes, database, compiled templates. All others are pure, and
so is everything that they import.
"""

ACTING = {
    "alembic", "asyncio", "dns", "fcntl", "httpcore2", "httpx2", "mjml", "os", "random", "select",
    "shutil", "smtplib", "socket", "sqlalchemy", "sqlite3", "ssl", "starlette", "subprocess",
    "tempfile", "threading", "time", "uvicorn",
}  # fmt: skip
CLOCK_OR_DISK = {"open", "datetime.now", "date.today", "datetime.today", "datetime.utcnow"}

PACKAGE = Path(newsletter.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path != PACKAGE / "__init__.py"
}
MOST_ENTRIES = 20
LONGEST_MODULE, LONGEST_FUNCTION = 300, 50


def _rows() -> Iterator[list[str]]:
    """Yields the units of each layer, from the first to the last, with their `!`."""
    for line in LAYERS.split("\n"):
        head, colon, rest = line.partition(": ")
        for row in (rest if colon else line).split(" | "):
            yield [f"{head}.{name}" if colon else name for name in row.split()]


ROWS = [
    (name.rstrip("!"), name.endswith("!"), row)
    for row, names in enumerate(_rows())
    for name in names
]
UNITS = {name: (row, acts) for name, acts, row in ROWS}
"""The layer of each unit, and whether it has effects."""


def _unit(module: str) -> str | None:
    """Returns the unit of a module: the longest one that its name begins with."""
    parts = module.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if name in UNITS), None)


def _is_docstring(path: Path) -> bool:
    """Returns whether a file contains only a docstring, as most `__init__` do."""
    body = ast.parse(path.read_text()).body
    return all(isinstance(node, ast.Expr) for node in body) and bool(body)


def _imported(tree: ast.AST) -> Iterator[str]:
    """Yields the full name of every import, anywhere in the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def _names(module: str) -> frozenset[str]:
    return frozenset(_imported(ast.parse(MODULES[module].read_text())))


@cache
def _ours(module: str) -> frozenset[str]:
    """Returns the modules of ours that a module imports, including those only for types."""
    found = set()
    for name in _names(module):
        if name.startswith("newsletter."):
            dotted = name.removeprefix("newsletter.")
            found.add(dotted if dotted in MODULES else dotted.rpartition(".")[0])
    return frozenset(found - {""})


def _loaded_by(module: str) -> set[str]:
    """Returns a module, all modules that it imports, and the packages loaded with them."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            parents = one.split(".")[:-1]
            waiting += [".".join(parents[: n + 1]) for n in range(len(parents))]
            waiting += _ours(one)
    return found


def _is_unlisted_package(module: str) -> bool:
    return MODULES[module].name == "__init__.py" and _unit(module) is None


LISTED = [module for module in MODULES if not _is_unlisted_package(module)]
PURE = [module for module in LISTED if (unit := _unit(module)) and not UNITS[unit][1]]


def test_every_module_is_in_a_layer() -> None:
    """New modules must be added to the list, and deleted ones removed."""
    assert [module for module in LISTED if _unit(module) is None] == []
    assert UNITS.keys() == {_unit(module) for module in LISTED}
    assert len(UNITS) == len(ROWS), "a unit is in the list twice"


def test_packages_of_several_units_import_none_of_them() -> None:
    """Otherwise the import of one module would import all."""
    packages = [module for module in MODULES if _is_unlisted_package(module)]
    assert len(packages) >= 10
    assert [module for module in packages if not _is_docstring(MODULES[module])] == []


@pytest.mark.parametrize("module", LISTED)
def test_modules_import_only_from_lower_layers(module: str) -> None:
    """Every import of ours is from a unit earlier in the list, or from the module's own unit."""
    unit = _unit(module)
    assert unit
    for other in _ours(module):
        theirs = _unit(other)
        assert theirs, f"{module} imports the package {other}: name the module"
        assert theirs == unit or UNITS[theirs][0] < UNITS[unit][0], f"{module} imports {other}"


@pytest.mark.parametrize("module", LISTED)
def test_packages_have_no_import_cycles(module: str) -> None:
    """A package imports only from packages that start earlier in the list."""
    first = {name.split(".")[0]: row for name, _, row in reversed(ROWS)}
    mine = module.split(".", maxsplit=1)[0]
    for other in _ours(module):
        theirs = other.split(".")[0]
        assert theirs == mine or first[theirs] < first[mine], f"{module} imports {other}"


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_import_nothing_with_effects(module: str) -> None:
    """This includes indirect imports."""
    for one in _loaded_by(module):
        found = {name.split(".")[0] for name in _names(one)} & ACTING
        assert not found, f"{module} loads {one}, which imports {found}"


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_use_no_clock_and_no_files(module: str) -> None:
    """They take times and bytes as arguments."""
    tree = ast.parse(MODULES[module].read_text())
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not calls & CLOCK_OR_DISK


def test_only_storage_uses_sql() -> None:
    """Other modules import at most the type of the connection from SQLAlchemy."""
    others = [module for module in MODULES if not module.startswith("storage")]
    assert 0 < len(others) < len(MODULES)
    for module in others:
        found = {name for name in _names(module) if name.startswith("sqlalchemy")}
        assert found <= {"sqlalchemy.Connection"}, module


def test_the_docstring_of_the_package_lists_its_content() -> None:
    """The docstring, the folder and the list of layers agree, in the same order."""
    names = [
        line.split()[0]
        for line in (newsletter.__doc__ or "").split("\n")
        if line.startswith("    ") and not line.startswith("     ")
    ]
    entries = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    entries = {name for name in entries if not name.startswith("__")} - {"sample"}
    assert names == [name for name in _in_order(UNITS) if name != "__main__"]
    assert set(names) == entries
    assert len(entries) <= MOST_ENTRIES


def _in_order(units: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(unit.split(".")[0] for unit in units))


@pytest.mark.parametrize("module", [one for one in MODULES if "." in one or one in UNITS])
def test_modules_and_functions_are_short(module: str) -> None:
    """The limit for modules does not apply to `storage`, which is structured by its tables."""
    source = MODULES[module].read_text()
    if not module.startswith("storage"):
        assert source.count("\n") <= LONGEST_MODULE
    landed = module.startswith("storage.migrations.versions.")  # never edited
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not landed:
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, node.name


def test_the_package_itself_imports_nothing_of_ours() -> None:
    """Its version can be read without importing the rest."""
    names = _imported(ast.parse((PACKAGE / "__init__.py").read_text()))
    assert not [name for name in names if name.startswith("newsletter")]


def test_no_test_imports_from_another_test() -> None:
    """Shared code is in `tests/support`; the benchmarks are a separate program."""
    folder = Path(__file__).parent
    for path in folder.rglob("*.py"):
        if path.relative_to(folder).parts[0] == "benchmarks":
            continue
        tests = {
            name for name in _imported(ast.parse(path.read_text())) if name.startswith("tests")
        }
        assert all(name.startswith("tests.support") for name in tests), path
