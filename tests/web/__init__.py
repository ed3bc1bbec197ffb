"""Tests of the web pages and feeds."""
