"""Builds an edition or a notice as a MIME message, and personalises it for each recipient.

    mime          the whole message: headers and bodies
    feedback_id   the sender id of a header
    slots         what is cut out of a message template and filled in for each recipient
    dkim          signatures of messages
    personalised  message templates, cut at the recipient's address, date, Message-ID and link
    tokens        numbers with a keyed hash: in links, Message-IDs and bounce addresses
    links         the signed links sent to subscribers

Does not decide what a message says, does not send it, and does not read the database.
"""
