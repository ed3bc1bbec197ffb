"""`newsletter doctor`: checks everything that must be right before mail is sent and arrives.

Repairs nothing, and sends nothing but a test message if the operator asks for one.

A check is a function from a `Context` to findings, in a file of its own, with a line in `checks`.
`records/` evaluates DNS records without querying them.
"""
