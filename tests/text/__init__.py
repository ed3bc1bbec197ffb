"""Tests of text: cleaning, TeX, excerpts, URLs, dates, colours."""
