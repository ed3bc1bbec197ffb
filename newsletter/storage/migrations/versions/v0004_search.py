"""The archive: an index of the words of announced papers, and one of the editions it lists.

`paper_search` holds words only; texts stay where they are. A paper's row has the number of the
paper, which is the position of its `new` entry: so the newest come first without sorting.
What was only learnt is not in it; who asks leaves out what was withdrawn or passed over.
Triggers keep it in step with the log.

A step that makes `texts`, `entries` or `snapshots` anew has to make these triggers again.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Without the places of words it takes a fifth of the room; only phrases need them. With the
# first letters of words as words of their own, a prefix that half of all papers have is
# one list to read and not the lists of a thousand words to put together.
_INDEX = """
CREATE VIRTUAL TABLE paper_search USING fts5(
    title, abstract, authors,
    content = 'paper_newest', content_rowid = 'paper_id', detail = none, prefix = '1 2 3',
    tokenize = 'unicode61 remove_diacritics 2'
)
"""

# Authors one by one: an array as such would come with its characters still escaped.
_WORDS = """
CREATE VIEW paper_words AS
SELECT paper_id, version,
    json_extract(record, '$.title') AS title,
    json_extract(record, '$.abstract') AS abstract,
    (SELECT group_concat(value, ' ') FROM json_each(record, '$.authors')) AS authors
FROM texts
"""

# What the index stands for: only read by who reads the index as if it were a table.
_NEWEST = """
CREATE VIEW paper_newest AS
SELECT w.paper_id, w.title, w.abstract, w.authors
FROM papers AS p CROSS JOIN paper_words AS w ON w.paper_id = p.id AND w.version = p.version
"""

# `paper_search_docsize` is FTS5's own list of what is in the index.
_ADD = """
INSERT INTO paper_search (rowid, title, abstract, authors)
SELECT w.paper_id, w.title, w.abstract, w.authors
FROM entries AS e
CROSS JOIN papers AS p ON p.id = e.paper_id
CROSS JOIN paper_words AS w ON w.paper_id = p.id AND w.version = p.version
WHERE e.kind = 'new' AND e.position = e.paper_id
    AND e.position NOT IN (SELECT id FROM paper_search_docsize)
"""

# All papers of a snapshot at once: a statement each would cost six times as much.
_ACCEPTED = f"""
CREATE TRIGGER paper_search_accepted AFTER UPDATE OF state ON snapshots
WHEN new.state = 'accepted'
BEGIN
    {_ADD} AND e.snapshot_id = new.id;
END
"""

# As a restore does it, which brings the log after its snapshots.
_BROUGHT = f"""
CREATE TRIGGER paper_search_brought AFTER INSERT ON entries
WHEN new.kind = 'new'
    AND (SELECT state FROM snapshots WHERE id = new.snapshot_id) = 'accepted'
BEGIN
    {_ADD} AND e.position = new.position;
END
"""  # noqa: S608  # our own words

# The index forgets words only when it is told which.
_REWRITTEN = """
CREATE TRIGGER paper_search_rewritten AFTER INSERT ON texts
WHEN new.paper_id IN (SELECT id FROM paper_search_docsize)
    AND new.version = (SELECT max(version) FROM texts WHERE paper_id = new.paper_id)
BEGIN
    INSERT INTO paper_search (paper_search, rowid, title, abstract, authors)
    SELECT 'delete', paper_id, title, abstract, authors FROM paper_words
    WHERE paper_id = new.paper_id AND version < new.version ORDER BY version DESC LIMIT 1;
    INSERT INTO paper_search (rowid, title, abstract, authors)
    SELECT paper_id, title, abstract, authors FROM paper_words
    WHERE paper_id = new.paper_id AND version = new.version;
END
"""

# Nothing takes single lines out of the log; a restore empties it before it fills it.
_EMPTIED = """
CREATE TRIGGER paper_search_emptied AFTER DELETE ON entries
WHEN NOT EXISTS (SELECT 1 FROM entries)
BEGIN
    INSERT INTO paper_search (paper_search) VALUES ('delete-all');
END
"""


def upgrade() -> None:
    """Makes the index and its triggers, and puts in what was announced until now."""
    for statement in (_WORDS, _NEWEST, _INDEX, _ADD, _ACCEPTED, _BROUGHT, _REWRITTEN, _EMPTIED):
        op.execute(statement)
