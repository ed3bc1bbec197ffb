"""Subscribers and their preferences: how they join, change, pause and leave.

    address           parses and normalises email addresses
    csv_*             subscribers as CSV: its columns, import and export
    list_import       adds the subscribers of a CSV file
    activation        makes a subscriber active, or active again
    lifecycle         the operator's actions: add, change, pause, unsubscribe, revoke, remove
    signup            double opt-in: request, confirmation, change of address
    visitor_requests  handles the requests of visitors and queues the mail that follows
    visitor_mail      the transactional mail for them
    preferences       a subscriber's actions through a link of their own
    settings_links    verifies and ends the links to preferences
    suppression       whether an address is suppressed
    expiry            ends pauses, and deletes sign-ups that were never confirmed

Does not plan editions and does not render pages. Each change is one transaction.
"""
