"""Tests of single transports; what all share is in `tests/contracts`."""
