"""`newsletter dkim`: the keys that sign mail."""

from __future__ import annotations

import re

import click

from newsletter.cli.base import json_option
from newsletter.cli.options import config_option
from newsletter.cli.terminal import say
from newsletter.errors import ConfigError, UsageError


@click.group()
def dkim() -> None:
    """Make the keys that sign mail with DKIM."""


@dkim.command()
@click.option("--selector", metavar="NAME", help="Publish it under this name. [default: news]")
@click.option("--ed25519", is_flag=True, help="Make an Ed25519 key, for use beside the RSA key.")
@json_option
def generate(selector: str | None, *, ed25519: bool, as_json: bool) -> None:
    """Make a key, and show the DNS record to publish.

    The key is written to a private file beside the configuration.
    """
    from newsletter.app import dkim_keys
    from newsletter.app.doctor.records import dkim as records
    from newsletter.cli.output import print_json
    from newsletter.config import values
    from newsletter.config.file import config_path, load_config

    config = load_config(config_option())
    if not (config.dkim.domain or config.newsletter.sender):
        problem = "newsletter.sender: a signature needs the domain that the mail comes from"
        raise ConfigError([problem], hint="set it, or dkim.domain")
    section = config.dkim
    selector = selector or (section.ed25519_selector if ed25519 else section.selector)
    if not re.fullmatch(values.SELECTOR, selector):
        raise UsageError("write letters, digits, hyphens and dots", where=f"--selector {selector}")
    file = config_path(config_option()).parent / f"dkim-{selector}.pem"
    if file.exists():
        raise UsageError("this key exists already", where=str(file), hint="give another --selector")
    key = dkim_keys.generate(config, selector, file, ed25519=ed25519)
    name = f"{selector}._domainkey.{key.domain}"
    text = records.record(key.algorithm, key.public)
    if as_json:
        print_json({"selector": selector, "file": str(file), "name": name, "record": text})
        return
    prefix = "ed25519_" if ed25519 else ""
    say(f"Wrote {file}. Publish this record in the zone of {key.domain}:")
    say("")
    say(records.zone_line(name, text))
    say("")
    say("Then add to the configuration, and check with `newsletter doctor`:")
    say("")
    say("[dkim]")
    say(f'{prefix}selector = "{selector}"')
    say(f'{prefix}key_file = "{file.name}"')
