"""Log → deliveries: which subscribers are due, and for which edition; each paper once.

    cadence         on which dates and at which times a subscriber is due
    rules           the newsletter's schedule, and the check of the clock
    view            the log and the operator's decisions when planning starts
    freezing        builds editions, validates and stores them
    plan            plans deliveries and advances cursors and due times
    due_times       corrects due times after the rules have changed
    planner         runs planning before a run, or when a subscriber is due
    edition_review  the operator's decisions about held editions

Does not render editions itself and sends nothing.
"""
