"""Builds an edition or a notice as a MIME message, and personalises it for each recipient.

    mime          the whole message: headers and bodies
    personalised  message templates, cut at the recipient's address, date, Message-ID and link
    tokens        numbers with a keyed hash: in links, Message-IDs and bounce addresses
    links         the signed links sent to subscribers

Does not decide what a message says, does not send it, and does not read the database.
"""
