"""Email newsletters of research papers: each new paper once, to each subscriber.

In the order of the flow, with shared modules first. Each imports only from those above it:

    masks         hides the secrets in URLs
    errors        the errors, as one tree
    models        the values that all packages share: papers, captures, entries, states
    text          text processing: cleaning, TeX, URLs, dates, colours; file output
    config        the configuration: its keys, its file, its values
    sources       where papers come from: addresses, folders, standard input
    formats       bytes → papers
    messages      an edition or a notice as a MIME message; signed links and tokens
    storage       the database; the only place that knows SQL
    papers        captures → log: which papers are new, and what is held for review
    editions      entries → edition: compose, render, validate
    planning      log → deliveries: which subscribers are due, and for which papers
    subscribers   sign-up, preferences, unsubscribing; CSV import and export
    transports    how mail is sent: by SMTP, or to files
    delivery      deliveries → transport: claimed, sent once, recorded
    app           builds all of the above from a configuration; status, trace, doctor
    web           pages for visitors and subscribers, feeds
    service       `newsletter serve` and `newsletter web`: long-running processes
    cli           the commands
"""

__version__ = "0.1.0"
