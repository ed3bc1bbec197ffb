"""Log → editions and deliveries: who is due gets what is new to them, once.

rules   when people are due
view    the log and the decisions, as planning finds them
plan    planning deliveries for who is due
freezing   making and keeping editions, holding what looks wrong
due_times  correcting due times after the rules have changed
"""

from newsletter.planning.due_times import DueTimes
from newsletter.planning.plan import Planned, Planning, next_entries
from newsletter.planning.rules import SLACK, Rules, latest_day, refuse_old_clock

__all__ = [
    "SLACK",
    "DueTimes",
    "Planned",
    "Planning",
    "Rules",
    "latest_day",
    "next_entries",
    "refuse_old_clock",
]
