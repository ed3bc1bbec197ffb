"""An edition or a notice as a MIME message, and what in it belongs to one recipient.

    mime          headers and bodies: the whole message
    personalised  the message cut at the recipient's address, date, Message-ID and link
    tokens        numbers with a keyed hash: in links, Message-IDs and bounce addresses
    links         the signed links that subscribers get

Does not choose what a mail says, does not send it, and reads no database.
"""
