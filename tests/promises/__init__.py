"""Tests of the promises across packages: models, process deaths, faults, long runs."""
