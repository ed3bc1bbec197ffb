"""`newsletter serve`: one long-running process that captures, plans, sends and serves the pages.

    logs        logging to a terminal or as JSON
    jobs        the work: capturing, planning and sending, as the database says is due
    capture_log what is logged about captures
    folders     detects changes in a folder of captures
    scheduler   the clock: a tick every minute, and one at the next due instant
    health      health checks: the loops, a write, the database file
    systemd     notifications to systemd
    run         the service from start to stop
    web_only    `newsletter web`: only the pages

Decides nothing by itself: the scheduler only wakes the jobs, and what is due is read from the
database each time, so sleep, clock changes, restarts and a second process do no harm.
"""
