"""Builds what editions and messages need from the configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from email.headerregistry import Address
from pathlib import Path
from typing import TYPE_CHECKING

from newsletter.config.schema import Config
from newsletter.config.values import name_and_address
from newsletter.messages.mime import NO_OWNER, NOWHERE, Sender

# Imported where they are used: most commands need only addresses, and rendering loads much.
if TYPE_CHECKING:
    from newsletter.editions.build import EditionBuilder
    from newsletter.editions.preview import PreviewWriter
    from newsletter.editions.render import ThemeSettings


def theme_settings(config: Config) -> ThemeSettings:
    """Returns the settings that a theme receives."""
    from newsletter.editions.render import ThemeSettings

    return ThemeSettings(
        name=config.newsletter.name,
        theme=config.theme.name,
        language=config.newsletter.language,
        accent=config.theme.accent,
        accent_dark=config.theme.dark,
        postal_address=config.newsletter.postal_address,
    )


def builder(config: Config) -> EditionBuilder:
    """Returns the edition builder.

    Raises:
        RenderError: the templates folder does not exist.
    """
    from newsletter.editions.build import EditionBuilder
    from newsletter.editions.render import Renderer

    templates = config.theme.templates_dir
    renderer = Renderer(theme_settings(config), Path(templates) if templates else None)
    return EditionBuilder(
        renderer, theme_settings(config), config.theme.excerpts, config.newsletter.base_url
    )


def preview_writer(config: Config, clock: Callable[[], datetime]) -> PreviewWriter:
    """Returns the writer of previews."""
    from newsletter.editions.preview import PreviewWriter

    return PreviewWriter(sender(config), config.newsletter.base_url, clock)


def sender(config: Config) -> Sender:
    """Returns the sender of the newsletter."""
    section = config.newsletter
    return Sender(
        name=section.name,
        address=_address(section.sender, section.name),
        reply_to=_address(section.reply_to, "") if section.reply_to else None,
        owner=_address(section.owner, "").addr_spec if section.owner else NO_OWNER,
        archive=f"{section.base_url}/archive" if section.base_url else "",
    )


def notice_sender(config: Config) -> Sender:
    """Returns the sender of notices, which may have a From address of its own."""
    usual = sender(config)
    if not config.newsletter.notice_sender:
        return usual
    return replace(usual, address=_address(config.newsletter.notice_sender, usual.name))


def owner_address(config: Config) -> str:
    """Returns the address for reports, without a display name."""
    return name_and_address(config.newsletter.owner)[1]


def _address(mailbox: str, name: str) -> Address:
    if not mailbox:
        return Address(name, "newsletter", NOWHERE)
    display, spec = name_and_address(mailbox)
    local, _, domain = spec.rpartition("@")
    return Address(display or name, local, domain)
