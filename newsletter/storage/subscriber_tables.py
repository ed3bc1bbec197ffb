"""The tables of subscribers and of visitors' requests.

subscribers   addresses, preferences, due times and cursors
suppressions  keyed hashes of addresses never to be sent to, and of ids of removed subscribers
requests      visitors' requests, until their link is used
"""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Date, Index, Integer, LargeBinary, String, Table, Text
from sqlalchemy import text as sql

from newsletter.storage.columns import Utc, metadata

subscribers = Table(
    "subscribers",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("address", String, nullable=False, comment="as written"),
    Column("normal", String, nullable=False, unique=True, comment="as compared"),
    Column("domain", String, nullable=False, comment="in ASCII"),
    Column("state", String, nullable=False),
    Column("cadence", String, nullable=False),
    Column("time_zone", String, comment="none: the newsletter's"),
    Column("send_at", String, comment="HH:MM; none: the newsletter's"),
    Column("topics", JSON, nullable=False, comment="none: everything"),
    Column("cursor", Integer, nullable=False),
    Column("next_due_at", Utc, comment="none unless active"),
    Column("last_due_on", Date, comment="the last local date that was served"),
    Column(
        "merged",
        Boolean,
        nullable=False,
        server_default="0",
        comment="that date was merged with the next, which is not merged again",
    ),
    Column("added_at", Utc, nullable=False),
    Column("changed_at", Utc, nullable=False, comment="when the state last changed"),
    Column("refusals", Integer, nullable=False, server_default="0"),
    Column("refused_edition", Integer, comment="the last one counted in `refusals`"),
    Column("paused_until", Date, comment="the local date a pause ends"),
    Column("consented_at", Utc, comment="when they confirmed"),
    Column("consent_text", String, comment="the version of the consent text"),
    Column("consent_network", String, comment="the visitor's truncated IP address"),
    Column("left_because", Text, comment="the reason they gave, if any"),
    Column(
        "link_epoch",
        Integer,
        nullable=False,
        server_default="0",
        comment="when preferences links were last ended, in s since 1970; part of each link",
    ),
    Index("ix_subscribers_next_due_at", "next_due_at"),
    Index("ix_subscribers_state_cursor", "state", "cursor"),
    sqlite_autoincrement=True,  # links in old mail must never lead to another subscriber
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("at", Utc, nullable=False),
    sqlite_with_rowid=False,
)

requests = Table(
    "requests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False, comment="subscribe, settings or change"),
    Column("address", String, nullable=False, comment="as written; emptied after use"),
    Column("subscriber_id", Integer, comment="the subscriber, once known"),
    Column("time_zone", String, comment="of the visitor's browser"),
    Column("network", String, nullable=False, comment="the visitor's truncated IP address"),
    Column("at", Utc, nullable=False),
    Column("handled_at", Utc, comment="when it was handled"),
    Column("confirmed_at", Utc, comment="when its link was used"),
    Index("ix_requests_waiting", "id", sqlite_where=sql("handled_at IS NULL")),
    Index("ix_requests_at", "at"),
    Index("ix_requests_subscriber_id", "subscriber_id"),
    sqlite_autoincrement=True,
)
