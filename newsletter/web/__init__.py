"""The HTTP side of the service: pages for visitors, health checks and metrics.

    site             renders templates to responses
    guard            host check, body limit and security headers
    visitors         the network, origin and rate limits of a visitor
    forms            reads submitted forms
    limits           rate limits
    archive          the front page, the archive, editions, feeds
    archive_content  the content of those pages
    feeds            Atom, RSS and JSON Feed
    cache            caches public pages until their content changes
    signup           sign-up and confirmation
    preferences      the preference centre, unsubscribing
    pages            the application with all routes, behind the guard
    background       processes visitors' requests as they arrive
    heartbeat        monitors the background loops
    health           /healthz, /readyz
    metrics          /metrics, computed from the database at each scrape
    server           uvicorn in a thread

Changes nothing on a GET. Leaves every decision to the use cases that `app` builds.
"""
