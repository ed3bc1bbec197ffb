"""Tests of the command line as scripts meet it."""
