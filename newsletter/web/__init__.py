"""What the service answers over HTTP: pages for readers, whether it lives, its figures.

site      templates filled, with the headers that keep them safe
guard     who is asked, and how much is sent
visitors  from where they come, how often they ask
forms     what visitors send
limits    how often they may
public    the front page, the archive, editions, feeds
memory    pages for everybody, kept until something changes
signup    subscribing, confirming
choices   settings, unsubscribing
pages     all of them, behind their guard
errands   what visitors' requests need done at once
heartbeat signs of life of the loops in the background
health    /healthz, /readyz
metrics   /metrics, computed from the database at each scrape
server    uvicorn in a thread
"""
