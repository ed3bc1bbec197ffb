"""Subscribers and their preferences: how they join, change, pause and leave.

    address       reads an email address, and compares two
    csv_*         subscribers as CSV: its columns, import and export
    activation    makes a subscriber active again
    lifecycle     what the operator may do: add, pause, unsubscribe, remove
    signup        double opt-in: request, confirmation, change of address
    preferences   what a subscriber may do with a link of their own

Does not plan editions and shows no page. Each change is one transaction.
"""
