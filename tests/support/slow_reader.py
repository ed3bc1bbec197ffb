"""A parser whose import takes an hour, so that the process that parses is always starting."""

from __future__ import annotations

import time

time.sleep(3600.0)
