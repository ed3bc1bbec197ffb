"""The only place that knows SQL. Transactions are drawn by the use cases above it."""
