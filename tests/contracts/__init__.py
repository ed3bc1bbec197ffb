"""Contract tests that every format, transport and theme must pass."""
