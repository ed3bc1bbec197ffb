"""The HTTP side of the service: pages for visitors, health checks and metrics.

    site             renders templates to responses
    guard            host check, body limit and security headers
    visitors         the origin and rate limits of a visitor
    networks         the network of a visitor
    forms            reads submitted forms
    limits           rate limits
    archive          the front page, the archive, editions, feeds
    archive_content  the content of those pages
    feeds            Atom, RSS and JSON Feed
    cache            caches public pages until their content changes, and makes each once at a time
    signup           sign-up and confirmation
    preferences      the preference centre, unsubscribing
    pages            the application with all routes, behind the guard
    background       processes visitors' requests soon after they arrive
    strict_http      refuses ambiguous requests
    heartbeat        monitors the background loops
    health           /healthz, /readyz
    metrics          /metrics, computed from the database at each scrape
    connections      limits on the number and time of connections
    repetitions      counts what clients can cause at will, to log it once a minute
    server           uvicorn in a thread

Changes nothing on a GET. Leaves every decision to the use cases that `app` builds.
"""
