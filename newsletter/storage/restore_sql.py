"""The statements of a restore, over the restored database (`main`) and the replaced one (`newer`).

`mark` is a function of an address or an id: its suppression hash. The parameters are `VALUES` and,
where it says so, the time.
"""

from __future__ import annotations

from newsletter.storage.outbox import LEFT, PAUSED
from newsletter.storage.subscribers import PAUSED_WHEN_REMOVED

# Everything captured, announced, sent or requested, and what that refers to: taken from the
# newer database.
NEWER = (
    "log_head", "blobs", "sources", "validators", "snapshots", "papers", "paper_keys", "texts",
    "entries", "sightings", "source_days", "editions", "passed", "notices", "deliveries",
    "sendings", "breakers", "installation", "requests",
)  # fmt: skip

MERGE = (
    *(f"DELETE FROM main.{table}" for table in reversed(NEWER)),  # noqa: S608  # our names
    *(f"INSERT INTO main.{table} SELECT * FROM newer.{table}" for table in NEWER),  # noqa: S608
    "INSERT INTO main.subscribers SELECT * FROM newer.subscribers",
    # Ids are never reused: links in old mail must not lead to another subscriber.
    "UPDATE main.sqlite_sequence SET seq = max(seq, coalesce("
    "(SELECT seq FROM newer.sqlite_sequence AS n WHERE n.name = main.sqlite_sequence.name), 0))",
    "INSERT INTO main.sqlite_sequence (name, seq) SELECT name, seq FROM newer.sqlite_sequence "
    "WHERE name NOT IN (SELECT name FROM main.sqlite_sequence)",
)
KNOWN = (
    # A suppression may have been lifted since.
    "DELETE FROM main.suppressions WHERE hash IN (SELECT mark(normal) FROM newer.subscribers)",
    # Subscribers in the newer database are taken from it, with its ids and addresses.
    "DELETE FROM main.subscribers WHERE id IN (SELECT id FROM newer.subscribers) "
    "OR normal IN (SELECT normal FROM newer.subscribers)",
)
MARKS = ("INSERT OR REPLACE INTO main.suppressions SELECT * FROM newer.suppressions",)
GONE = (
    # Subscribers erased since the backup stay erased, as do those unsubscribed before removal.
    "DELETE FROM main.subscribers WHERE normal NOT IN (SELECT normal FROM newer.subscribers) "
    "AND (mark(normal) IN (SELECT hash FROM main.suppressions) OR mark(id) IN "
    "(SELECT hash FROM main.suppressions WHERE reason != :paused_then))",
    "UPDATE main.subscribers SET state = 'paused' WHERE state = 'active' AND mark(id) IN "
    "(SELECT hash FROM main.suppressions WHERE reason = :paused_then) "
    "AND id NOT IN (SELECT id FROM newer.subscribers)",
)
MOVED = (
    # An address given up since is no longer the subscriber's, and the new one is not known.
    "DELETE FROM main.subscribers WHERE id IN (SELECT subscriber_id FROM newer.requests "
    "WHERE kind = 'change' AND confirmed_at IS NOT NULL "
    "AND id NOT IN (SELECT id FROM main.requests WHERE confirmed_at IS NOT NULL))",
)
LINKS_ENDED = (
    # Links may have been ended since the backup. The time, in `:seconds` since 1970, is above
    # every epoch that a lost database had.
    "UPDATE main.subscribers SET link_epoch = max(link_epoch + 1, :seconds)",
)
REQUESTS_ENDED = (
    # Not those to subscribe: such a link was mailed to the very address that it is about.
    "UPDATE main.requests SET subscriber_id = NULL, address = '', network = '', "
    "handled_at = coalesce(handled_at, at) WHERE confirmed_at IS NULL AND kind != 'subscribe'",
)
CAUGHT_UP = (
    # Subscribers removed since the backup come back, but past the papers they had received,
    "UPDATE main.subscribers SET cursor = max(cursor, coalesce((SELECT max(p.value) "
    "FROM newer.deliveries AS d JOIN newer.editions AS e ON e.id = d.edition_id, "
    "json_each(e.positions) AS p WHERE d.subscriber_id = main.subscribers.id), 0))",
    # and past those they may have received so long ago that the record is pruned.
    "UPDATE main.subscribers SET cursor = max(cursor, coalesce((SELECT max(p.value) "
    "FROM newer.editions AS e, json_each(e.positions) AS p WHERE e.planned_at < coalesce("
    "(SELECT min(changed_at) FROM newer.deliveries WHERE state = 'sent'), '9999')), 0)) "
    "WHERE (SELECT count(*) FROM newer.deliveries) < "
    "(SELECT seq FROM newer.sqlite_sequence WHERE name = 'deliveries')",
)
NOT_DUE = ("UPDATE main.subscribers SET next_due_at = NULL WHERE state != 'active'",)
LEAVERS = (
    *MARKS,
    "UPDATE main.subscribers SET state = n.state, changed_at = n.changed_at, "
    "paused_until = n.paused_until FROM newer.subscribers AS n "
    "WHERE (n.id = main.subscribers.id OR n.normal = main.subscribers.normal) "
    "AND n.state IN ('paused', 'unsubscribed', 'suppressed')",
    *GONE,
    "UPDATE main.subscribers SET state = 'suppressed' WHERE state != 'suppressed' "
    "AND mark(main.subscribers.normal) IN (SELECT hash FROM main.suppressions)",
    *NOT_DUE,
)
AWAKE = (
    "CREATE TABLE asleep AS SELECT id FROM subscribers WHERE state = 'paused'",
    "UPDATE subscribers SET state = 'active' WHERE state = 'paused'",
)
ASLEEP = (
    "UPDATE subscribers SET state = 'paused' WHERE id IN (SELECT id FROM asleep)",
    "DROP TABLE asleep",
)
MAY_HAVE_BEEN_SENT = (
    "UPDATE deliveries SET state = 'unknown', try_at = NULL, claimed_by = NULL, first_at = NULL, "
    "reply = 'the database was restored from a backup; it may have been sent since' "
    "WHERE state IN ('queued', 'deferred', 'sending') "
    # Cancelled deliveries are sent when the subscriber returns, which may have happened since.
    "OR (state = 'cancelled' AND reply = :paused) OR (state = 'cancelled' "
    "AND reply = :left AND changed_at >= :undone AND changed_at >= (SELECT p.changed_at "
    "FROM subscribers AS p WHERE p.id = subscriber_id AND p.state = 'unsubscribed'))",
    # Otherwise subscribers that confirm or return would get the latest papers, maybe twice.
    "UPDATE subscribers SET cursor = max(cursor, (SELECT position FROM log_head)) "
    "WHERE state NOT IN ('active', 'paused')",
    "UPDATE editions SET reason = coalesce(reason || '; ', '') || :doubt "
    "WHERE state = 'held' AND instr(coalesce(reason, ''), :doubt) = 0",
    # Links in mail sent since the backup must not lead to another subscriber.
    "INSERT INTO sqlite_sequence (name, seq) SELECT n.name, 0 FROM "
    "(SELECT 'subscribers' AS name UNION SELECT 'requests') AS n "
    "WHERE n.name NOT IN (SELECT name FROM sqlite_sequence)",
    "UPDATE sqlite_sequence SET seq = seq + :jump WHERE name IN ('subscribers', 'requests')",
    "UPDATE sources SET restored = 1",
    "UPDATE installation SET restored = 1",
    "UPDATE validators SET etag = NULL, last_modified = NULL",
)
VALUES = {
    "paused_then": PAUSED_WHEN_REMOVED,
    "paused": PAUSED,
    "left": LEFT,
    # Shown with a held edition, so that the operator knows before deciding.
    "doubt": "the database is a backup; the edition may have been sent since",
    # More ids than are assigned between a backup and its restore.
    "jump": 1_000_000,
}
"""The parameters of these statements."""
