"""The database: the only place that knows SQL. Each module reads and writes some tables.

Takes a transaction and draws none: the use cases above it do. Decides nothing.
"""
