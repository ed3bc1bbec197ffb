"""Tests of editions: their content, their look, their validation, and notices."""
