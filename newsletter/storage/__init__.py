"""The database: the only package with SQL. Each module reads and writes some of the tables.

Functions take a transaction, which the calling use case opens. No decisions are made here.
"""
