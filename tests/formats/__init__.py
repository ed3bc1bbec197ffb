"""Tests of single formats; what all share is in `tests/contracts`."""
