"""The archive: a full-text index of announced papers, and the triggers that maintain it.

`paper_search` holds words only; texts stay where they are. The row of a paper has the position of
its `new` entry as its number: so the newest come first without sorting. What was only learnt is not
in it; a search leaves out what was withdrawn or passed over.

A migration that creates `texts`, `entries` or `snapshots` anew has to create these triggers again.
"""

from alembic import op

# Without the positions of words it takes a fifth of the space; only phrases need them. With
# prefixes as words of their own, a prefix that half of all papers have is one list to read
# instead of a thousand lists to merge.
_INDEX = """
CREATE VIRTUAL TABLE paper_search USING fts5(
    title, abstract, authors,
    content = 'paper_newest', content_rowid = 'position', detail = none, prefix = '1 2 3',
    tokenize = 'unicode61 remove_diacritics 2'
)
"""

# Authors one by one: an array would come with its characters still escaped.
_WORDS = """
CREATE VIEW paper_words AS
SELECT paper_id, version,
    json_extract(record, '$.title') AS title,
    json_extract(record, '$.abstract') AS abstract,
    (SELECT group_concat(value, ' ') FROM json_each(record, '$.authors')) AS authors
FROM texts
"""

# What the index stands for: read only when the index is read as if it were a table.
_NEWEST = """
CREATE VIEW paper_newest AS
SELECT p.new_at AS position, w.title, w.abstract, w.authors
FROM papers AS p CROSS JOIN paper_words AS w ON w.paper_id = p.id AND w.version = p.version
WHERE p.new_at IS NOT NULL
"""

# `paper_search_docsize` is FTS5's own list of what is in the index.
_ADD = """
INSERT INTO paper_search (rowid, title, abstract, authors)
SELECT e.position, w.title, w.abstract, w.authors
FROM entries AS e
CROSS JOIN papers AS p ON p.id = e.paper_id
CROSS JOIN paper_words AS w ON w.paper_id = p.id AND w.version = p.version
WHERE e.kind = 'new' AND e.position NOT IN (SELECT id FROM paper_search_docsize)
"""

# All papers of a snapshot at once: a statement for each would cost six times as much.
_ACCEPTED = f"""
CREATE TRIGGER paper_search_accepted AFTER UPDATE OF state ON snapshots
WHEN new.state = 'accepted'
BEGIN
    {_ADD} AND e.snapshot_id = new.id;
END
"""

# As a restore does it, which copies the log after its snapshots.
_COPIED = f"""
CREATE TRIGGER paper_search_copied AFTER INSERT ON entries
WHEN new.kind = 'new'
    AND (SELECT state FROM snapshots WHERE id = new.snapshot_id) = 'accepted'
BEGIN
    {_ADD} AND e.position = new.position;
END
"""  # noqa: S608  # our own words

# The index forgets words only when it is told which.
_REWRITTEN = """
CREATE TRIGGER paper_search_rewritten AFTER INSERT ON texts
WHEN (SELECT new_at FROM papers WHERE id = new.paper_id) IN (SELECT id FROM paper_search_docsize)
    AND new.version = (SELECT max(version) FROM texts WHERE paper_id = new.paper_id)
BEGIN
    INSERT INTO paper_search (paper_search, rowid, title, abstract, authors)
    SELECT 'delete', p.new_at, w.title, w.abstract, w.authors
    FROM papers AS p CROSS JOIN paper_words AS w ON w.paper_id = p.id
    WHERE p.id = new.paper_id AND w.version < new.version ORDER BY w.version DESC LIMIT 1;
    INSERT INTO paper_search (rowid, title, abstract, authors)
    SELECT p.new_at, w.title, w.abstract, w.authors
    FROM papers AS p CROSS JOIN paper_words AS w ON w.paper_id = p.id
    WHERE p.id = new.paper_id AND w.version = new.version;
END
"""

# Nothing deletes single entries of the log; a restore empties it before it fills it.
_EMPTIED = """
CREATE TRIGGER paper_search_emptied AFTER DELETE ON entries
WHEN NOT EXISTS (SELECT 1 FROM entries)
BEGIN
    INSERT INTO paper_search (paper_search) VALUES ('delete-all');
END
"""


def create_search() -> None:
    """Creates the index and its triggers."""
    for statement in (_WORDS, _NEWEST, _INDEX, _ACCEPTED, _COPIED, _REWRITTEN, _EMPTIED):
        op.execute(statement)
