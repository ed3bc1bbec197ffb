"""Tests mirror the package; docs/testing.md says how they are organised."""
