"""`newsletter serve`: one long-running process that captures, plans, sends and serves the pages.

    logs        logging to a terminal or as JSON
    jobs        the work: captures, plans and sends what is due according to the database
    capture_log logs the results of captures
    folders     detects changes in a folder of captures
    scheduler   starts the jobs: every minute, and at the next due instant
    health      health checks: the loops, a write, the database file
    systemd     notifications to systemd
    run         the service from start to stop
    web_only    `newsletter web`: only the pages

The scheduler decides nothing: it only starts the jobs, and they read from the database what is
due, so sleep, clock changes, restarts and a second process do no harm.
"""
