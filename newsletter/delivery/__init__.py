"""Deliveries → transport: each queued delivery is claimed, sent once, and recorded.

    queue         the deliveries that may be sent now, within the rate limits
    throttle      the rate limits
    personalise   builds the message of a claimed delivery
    workers       the sessions, one thread each
    retry         the retry policy: what a server's reply means
    recorder      writes claims and results to the database
    run           the loop that connects them
    dead_claims   recovers the claims of senders that died
    stop          stops a run, and retries a database that is locked or full
    sending       a run as the operator and the service see it; pause and resume
    send_test     sends a test mail
    records       lists, retries and settles deliveries on record

Only one thread uses the database. A session's last result and its next claim are written in
one transaction, shared with other sessions that finish within the same two milliseconds. A
crash therefore leaves at most one message per session `unknown`, and a failed commit stops
every session before its next message. Does not plan, and does not know how a transport works.
"""
