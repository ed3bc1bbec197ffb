"""Selects the size of tests: the usual one, or the large one of `make soak`."""

from __future__ import annotations

import os

SOAK = bool(os.environ.get("SOAK"))
"""Whether this is `make soak`."""
