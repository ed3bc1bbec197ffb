"""Tests of where papers come from."""
