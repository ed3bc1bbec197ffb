"""DNS records of a mail domain, parsed and evaluated: SPF, DKIM, DMARC, MX and PTR. Pure.

Takes the answers of a name server and returns findings; queries nothing itself. A query without
an answer is inconclusive: it never counts as a missing record.
"""
