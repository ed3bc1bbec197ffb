"""Tests of a delivery run: its queue, the retry policy, the throttle."""
