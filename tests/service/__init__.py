"""Tests of `newsletter serve`."""
