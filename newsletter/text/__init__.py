"""Text as it is read and shown: cleaning, TeX, excerpts, URLs, dates, colours; and files.

Pure but for `files`, which writes files whole or not at all. Knows nothing of papers or mail.
"""
