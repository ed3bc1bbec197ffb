"""Text processing: cleaning, TeX, excerpts, URLs, dates and colours; and file output.

Pure except for `files`, which writes files atomically. Independent of papers and mail.
"""
