"""Tests of papers: identity, changes, review rules, ingest."""
