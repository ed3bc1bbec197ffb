"""The two sizes of a check: the usual one, and the long one of `make soak`."""

from __future__ import annotations

import os

SOAK = bool(os.environ.get("SOAK"))
"""Whether this is the long run."""
