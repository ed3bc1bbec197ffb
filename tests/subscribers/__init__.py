"""Tests of subscribers: addresses, CSV, lifecycle."""
