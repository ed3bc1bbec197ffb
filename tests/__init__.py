"""Tests mirror the package; docs/testing.md describes their organisation."""
