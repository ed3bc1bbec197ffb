"""Deliveries → transport: each one that waits is claimed, sent once, and recorded.

    queue         what may be sent now, within the limits on rate
    throttle      those limits
    personalise   a claimed delivery as a message
    workers       the sessions, each in a thread
    retry         what a server's reply means: sent, deferred, refused
    recorder      claims and results, in the database
    run           the loop that brings them together
    sending       a run as the operator sees it; pause and resume
    send_test     a test mail
    records       deliveries on record: list, retry, settle

Only one thread touches the database. A session's last result and its next claim are one
transaction, shared with other sessions that finish within the same two milliseconds; so a
death leaves at most one message per session `unknown`, and a commit that fails ends every
session before its next message. Does not plan, and does not know how a transport works.
"""
