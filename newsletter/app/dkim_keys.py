"""The keys that sign mail with DKIM: reads the configured ones, and makes new ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from newsletter.app.edition_factories import sender
from newsletter.config.schema import Config
from newsletter.errors import ConfigError
from newsletter.messages.dkim import ED25519, RSA, Key, Signer
from newsletter.text import files

# Imported where it is used: most commands sign nothing.
if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_BITS = 2048
"""Size of RSA keys: shorter ones are rejected by receivers, longer ones fit no DNS packet."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key, and where it is published.

    Attributes:
        domain: the domain that signs, in ASCII.
        selector: it is at `<selector>._domainkey.<domain>`.
        algorithm: `rsa` or `ed25519`.
        public: the key, as the tag `p=` has it.
    """

    domain: str
    selector: str
    algorithm: str
    public: bytes


def signer(config: Config) -> Signer | None:
    """Returns what signs messages, or `None` if no key is configured.

    Raises:
        ConfigError: a key cannot be read, or is not of the right kind.
    """
    keys = tuple(_key(selector, _read(*named)) for selector, *named in _configured(config))
    return Signer(_domain(config), keys) if keys else None


def problems(config: Config) -> list[str]:
    """Returns what is wrong with the configured keys."""
    found: list[str] = []
    for _, *named in _configured(config):
        try:
            _read(*named)
        except ConfigError as error:
            found += error.problems
    return found


def published(config: Config) -> list[PublicKey]:
    """Returns the public keys of the configured ones.

    Raises:
        ConfigError: a key cannot be read, or is not of the right kind.
    """
    return [
        _public(_domain(config), selector, _read(*named))
        for selector, *named in _configured(config)
    ]


def generate(config: Config, selector: str, file: Path, *, ed25519: bool = False) -> PublicKey:
    """Makes a private key and writes it to a new file, readable only by its owner.

    Returns its public key.

    Raises:
        OutputError: the file exists already, or cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    key = Ed25519PrivateKey.generate() if ed25519 else generate_private_key(65537, _BITS)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    files.create(file, pem, 0o600)
    return _public(_domain(config), selector, key)


def _domain(config: Config) -> str:
    return config.dkim.domain or sender(config).domain


def _configured(config: Config) -> Iterator[tuple[str, str, str, str]]:
    """Yields selector, algorithm, setting and file of each configured key."""
    section = config.dkim
    if section.key_file:
        yield section.selector, RSA, "dkim.key_file", section.key_file
    if section.ed25519_key_file:
        yield section.ed25519_selector, ED25519, "dkim.ed25519_key_file", section.ed25519_key_file


def _read(algorithm: str, setting: str, path: str) -> RSAPrivateKey | Ed25519PrivateKey:
    """Reads a private key.

    Raises:
        ConfigError: it cannot be read, or is not of the right kind.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(Path(path).read_bytes(), None)
    except OSError as exc:
        raise _unusable(setting, path, f"cannot be read ({exc.strerror})") from exc
    except (ValueError, TypeError) as exc:
        raise _unusable(setting, path, "is not a private key without a password, in PEM") from exc
    if algorithm == RSA and isinstance(key, RSAPrivateKey) and key.key_size >= _BITS:
        return key
    if algorithm == ED25519 and isinstance(key, Ed25519PrivateKey):
        return key
    kind = f"an RSA key of at least {_BITS} bits" if algorithm == RSA else "an Ed25519 key"
    raise _unusable(setting, path, f"is not {kind}")


def _unusable(setting: str, path: str, what: str) -> ConfigError:
    hint = "`newsletter dkim generate` makes a key"
    return ConfigError([f"{setting}: {path} {what}; {hint}"], where=path, hint=hint)


def _key(selector: str, key: RSAPrivateKey | Ed25519PrivateKey) -> Key:
    from hashlib import sha256

    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256

    if isinstance(key, RSAPrivateKey):
        return Key(selector, RSA, lambda data: key.sign(data, PKCS1v15(), SHA256()))
    return Key(selector, ED25519, lambda data: key.sign(sha256(data).digest()))


def _public(domain: str, selector: str, key: RSAPrivateKey | Ed25519PrivateKey) -> PublicKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    if isinstance(key, RSAPrivateKey):
        form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        return PublicKey(domain, selector, "rsa", key.public_key().public_bytes(*form))
    return PublicKey(domain, selector, "ed25519", key.public_key().public_bytes_raw())
