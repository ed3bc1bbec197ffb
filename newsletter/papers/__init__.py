"""Captures → log: which papers a capture contains, which are new, and what looks wrong.

    identity            the keys by which two records are the same paper
    changes             what a capture changes: new, updated, relisted, withdrawn
    review              when a snapshot or an edition is held for review
    report              the result of one capture
    parsers             parses captures in separate processes, within limits: parser_process,
                        parser_messages and, there, parser_worker
    reading_time        limits the parsing time of one source
    capture_store       stores captured bytes as snapshots
    snapshot_processing parses a snapshot, then accepts it or holds it for review
    parsed_spool        keeps the parsed snapshots of a first ingest until all are parsed
    snapshot_review     the operator's decisions about held snapshots
    ingest              stores, parses and settles captures
    source_ingest       the same for configured sources and named files or URLs

Leaves fetching to `sources` and parsing to `formats`; plans and sends nothing.
"""
