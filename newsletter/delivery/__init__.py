"""Deliveries → transport: every one that waits is claimed, sent once, and settled.

    queue     what may go now, by its rates
    copies    a claimed delivery as a letter
    workers   the sessions, each in a thread
    desk      claims and outcomes, in the database
    stop      how a run is told to stop, and how long it waits for the database
    run       the loop that brings them together

Only one thread touches the database. A session's last outcome and its next claim are one
transaction, shared with other sessions that finish within the same two milliseconds; so a
death leaves at most one message per session `unknown`, and while nothing can be committed no
session begins its next message. A run has a stop event of its own, below its caller's: it never
stops its caller.
"""

from newsletter.delivery.copies import Copies, Origin
from newsletter.delivery.desk import LIMITED, Limits, Tally
from newsletter.delivery.run import Delivery
from newsletter.delivery.stop import RunStop

__all__ = ["LIMITED", "Copies", "Delivery", "Limits", "Origin", "RunStop", "Tally"]
