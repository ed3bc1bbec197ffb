"""Text and what is written in it: cleaning, TeX, excerpts, URLs, dates, colours; output files.

Knows nothing of papers, editions or subscribers. Pure, except for `files`.
"""
