"""Which domains exist in the public DNS."""

from __future__ import annotations

import pytest

from newsletter.app.doctor.records.domain_names import is_special_use


@pytest.mark.parametrize(
    "name",
    ["localhost", "lab", "a.lab.test", "mira.local", "x.invalid", "example.org", "a.example"],
)
def test_special_use_domains(name: str) -> None:
    """Those for private networks, tests and examples."""
    assert is_special_use(name)


@pytest.mark.parametrize("name", ["papers.harbour", "notexample.org", "example.de", "a.co.uk"])
def test_domains_of_the_public_dns(name: str) -> None:
    """Names that only resemble special-use domains."""
    assert not is_special_use(name)
