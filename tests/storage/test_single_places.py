"""Some things are done in one module only, so that a change is made once."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import newsletter

PACKAGE = Path(newsletter.__file__).parent


def _mentions(path: Path) -> set[str]:
    """Returns the attributes that a module uses, and its imports by their full names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize(
    ("names", "place"),
    [
        pytest.param(
            {"activate", "revive", "revive_left"},
            "subscribers/activation.py",
            id="reactivates-a-subscriber",
        ),
        pytest.param(
            {"newsletter.storage.schema.secrets"}, "storage/keys.py", id="reads-the-secret-keys"
        ),
        pytest.param({"fcntl"}, "storage/locks.py", id="locks-files"),
    ],
)
def test_only_one_module(names: set[str], place: str) -> None:
    """That module mentions one of these names, and no other module does."""
    found = {
        str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if _mentions(path) & names
    }
    assert found == {place}
