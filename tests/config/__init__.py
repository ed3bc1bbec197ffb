"""Tests of the configuration: schema, file and environment."""
