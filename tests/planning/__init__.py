"""Tests of planning: when subscribers are due, and what is queued for them."""
