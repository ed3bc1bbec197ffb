"""How mail leaves: SMTP, or files. A transport takes finished bytes and says what became of them.

To add one: a module here with a class that has `encoded` and `session`, and its line in `table`.
The contract test in `tests/contracts` runs over the table. Does not retry and records nothing.
"""
