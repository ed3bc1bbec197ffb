"""What is accepted and kept although this version does nothing with it yet. Pure."""

from __future__ import annotations

from newsletter.config.schema import Config

TOPICS = "topics are kept, but have no effect yet: every subscriber gets every new paper"


def remarks(config: Config) -> list[str]:
    """Returns a remark for each setting that has no effect yet."""
    if config.newsletter.bounce_domain:
        return [
            "newsletter.bounce_domain: bounces are directed there, but this version does not "
            "process them yet; leave it empty unless you read them yourself"
        ]
    return []
