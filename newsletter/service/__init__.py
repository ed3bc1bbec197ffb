"""`newsletter serve`: one process that captures, plans and sends for years, unattended.

    logs       what it says, and in which form
    jobs       what is done, and when it was done last; decided by our tables, not by a clock
    folders    whether anything changed in a folder of captures
    scheduler  the clock: a tick every minute, and one at the next due instant
    health     what is checked: loops, a write, the database's file
    notify     a word to systemd
    run        all of it from start to a signal
    alone      `newsletter web`: the pages without the rest

The clock only wakes it up. What is due is read from the database each time, so a machine
that slept, a clock that was set, a restart and a second process change nothing.
"""
