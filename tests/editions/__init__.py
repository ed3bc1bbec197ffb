"""Tests of editions: content, appearance in a browser, validation; and notices."""
