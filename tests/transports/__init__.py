"""Tests of single transports; tests for all of them are in `tests/contracts`."""
