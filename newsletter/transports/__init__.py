"""Transports: the ways to send mail. A transport takes finished bytes and never reads them.

To add one, write a module here with a class that has `encoded` and `session`, and add it to
`table`. The contract test in `tests/contracts` runs for every entry of that table. A transport
does not retry and records nothing.
"""
