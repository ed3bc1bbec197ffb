"""Captures → log: which papers a capture brings, which of them are new, and what looks wrong.

    identity      the keys by which two records are the same paper
    changes       what a capture changes: new, updated, relisted, withdrawn
    review        when a capture or an edition is held for review
    report        what became of a capture
    ingest        stores, parses and settles captures
    source_ingest the same for configured and named sources

Does not fetch, does not know any format, and sends nothing.
"""
