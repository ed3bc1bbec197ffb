"""The real captures beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SNAPSHOTS = Path(__file__).parents[3] / "shared" / "snapshots"


def real_captures(folder: str) -> Path:
    """Returns a folder of real captures. Without it, the test fails in CI, else it is skipped."""
    path = SNAPSHOTS / folder
    if not path.exists():
        if os.environ.get("CI"):
            pytest.fail(f"the real captures are missing: {path}")
        pytest.skip(f"no real captures here ({folder}): they are not in the repository")
    return path
