"""The database: the only package with SQL. Each module reads and writes some of the tables.

Functions take a transaction, which the calling use case opens; only `backups`, `pruning` and
`locks` work on whole files. Decides nothing about papers, subscribers or mail.
"""
