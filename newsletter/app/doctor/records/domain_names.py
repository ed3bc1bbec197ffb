"""Domain names: subdomains, and the names that are never in the public DNS. Pure."""

from __future__ import annotations

_LOCAL_ONLY = ("arpa", "internal", "local", "localhost", "onion", "test")
"""Top-level domains for tests or for a single network."""

_EXAMPLES = (
    *("example", "invalid"),
    *("example.com", "example.net", "example.org", "example.edu"),
)
"""Domains that are reserved for documentation (RFC 2606, RFC 6761)."""


def is_special_use(domain: str) -> bool:
    """Returns whether a lower-case domain is only for a single network, examples or tests."""
    return "." not in domain or is_example(domain) or domain.rpartition(".")[2] in _LOCAL_ONLY


def is_example(domain: str) -> bool:
    """Returns whether a lower-case domain is reserved for examples and cannot be registered."""
    return any(is_subdomain(domain, example) for example in _EXAMPLES)


def is_subdomain(domain: str, parent: str) -> bool:
    """Returns whether `domain` is `parent` or below it."""
    return domain == parent or domain.endswith(f".{parent}")
