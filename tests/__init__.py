"""Tests mirror the package; `contracts/` run over its tables, `benchmarks/` print ratios."""
