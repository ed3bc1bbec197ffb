"""Shared by tests: servers, newsletters, builders. Contains no tests."""
