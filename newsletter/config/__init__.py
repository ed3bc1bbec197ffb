"""The configuration: its schema, its TOML text and environment variables, its file.

Decides what may be configured; builds nothing from it (that is the work of `app`).
"""
