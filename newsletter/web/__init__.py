"""What the service answers over HTTP: whether it lives, whether it is ready, its figures.

health    /healthz, /readyz
metrics   /metrics, computed from the database at each scrape
server    uvicorn in a thread
"""
