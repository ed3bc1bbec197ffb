"""Log → deliveries: which subscribers are due, and for which edition; each paper once.

    cadence       on which dates and instants a subscriber is due
    rules         the newsletter's schedule, and when the clock cannot be right
    view          the log and the operator's decisions, as planning finds them
    plan          freezes editions and plans deliveries
    planner       runs planning before a run, or when it is time
    review        the operator's decisions about held editions

Does not render by itself and sends nothing.
"""
