"""The questions of `newsletter init` about how mail leaves, and the login."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from newsletter.app import initial_setup
from newsletter.app.factories import smtp_password
from newsletter.app.initial_setup import Answers, Setup
from newsletter.cli.base import complain
from newsletter.cli.questions import ask, ask_secret, choose, valid
from newsletter.cli.terminal import say
from newsletter.config.schema import Config, SmtpSection
from newsletter.config.values import LOOPBACK, name_and_address
from newsletter.errors import ConfigError
from newsletter.transports.base import SessionFailed
from newsletter.transports.mail_servers import (
    PROVIDERS,
    USUAL_PORTS,
    Provider,
    login_advice,
    provider_at,
    provider_of,
)

Settings = dict[str, str | int | None]
_SMTP = "transports.smtp."
_FILES = "Not yet: just files for now, which any mail program can open"
_SECURITIES = {
    "tls": "TLS from the start, usually on port 465",
    "starttls": "STARTTLS, usually on port 587",
    "none": "Not at all, which is for this machine only",
}
_CREDENTIALS = {"app password": "an app password", "token": "an access token (XOAUTH2)"}


@dataclass(frozen=True, slots=True)
class MailAnswers:
    """How mail leaves.

    Attributes:
        settings: values by section and key; `None` removes one.
        password: a new password, or `None`.
    """

    settings: Settings = field(default_factory=dict)
    password: str | None = None


def answers(setup: Setup, given: Settings) -> MailAnswers:
    """Asks how mail leaves, and tries the login until it works or the answers are to be kept.

    Args:
        setup: the configuration, whose values are the suggestions.
        given: the settings from options and other questions.
    """
    _, address = name_and_address(str(given.get("newsletter.owner") or ""))
    if not address or given.get("delivery.transport") in ("eml", "maildir"):
        return MailAnswers()
    kind = setup.current.config.delivery.transport
    files = MailAnswers({"delivery.transport": "eml"} if kind == "smtp" else {})
    before: SmtpSection | None = None
    while True:
        found = _Questions(setup, given, address, before).asked()
        if found is None:
            return files
        smtp = setup.made(Answers({**given, **found.settings}, (), found.password)).config
        if _logs_in(smtp, found.password):
            return found
        before = smtp.transports.smtp
        about = "The login does not work yet."
        ways = ["Answer these questions again", "Save these answers anyway", _FILES]
        number = choose(about, ways, 0)
        if number:
            return found if number == 1 else files


class _Questions:
    """The questions about one mail server.

    Args:
        setup: the configuration, whose values are the suggestions.
        given: the settings from options and other questions.
        address: the owner's address.
        before: the answers that did not work, which are the suggestions then.
    """

    def __init__(
        self,
        setup: Setup,
        given: Mapping[str, str | int | None],
        address: str,
        before: SmtpSection | None,
    ) -> None:
        self._given = given
        self._address = address
        self._is_new = setup.is_new
        self._stored: SmtpSection = setup.current.config.transports.smtp
        self._current = before or self._stored
        self._sends_already = bool(before) or setup.current.config.delivery.transport == "smtp"
        self._kept = SmtpSection()
        """The current settings if the server stays the same: a login is for one server only."""
        self._settings: Settings = {"delivery.transport": "smtp"}

    def asked(self) -> MailAnswers | None:
        """Returns the answers; `None` if mail is to be written to files."""
        host = self._option("host") or self._way()
        if host is None:
            return None
        if host == self._current.host:
            self._kept = self._current
        provider = provider_at(str(host))
        security = self._option("security") or self._security(str(host), provider)
        port = self._option("port") or self._port(str(security), provider)
        self._set(host=host, security=security, port=int(port))
        if security == "none" and not self._option("username"):
            return MailAnswers(self._without_login())
        return MailAnswers(self._settings, self._login(provider))

    def _way(self) -> str | None:
        """Asks which server is used. Returns its host; `None` for files."""
        names = [f"{one.name}, with {_CREDENTIALS[one.login]}" for one in PROVIDERS]
        suggested = len(PROVIDERS) + 1
        if self._sends_already:
            known, suggested = provider_at(self._current.host), len(PROVIDERS)
        else:
            known = provider_of(self._address) if self._is_new else None
        number = choose(
            "How should mail be sent?",
            [*names, "Another mail server", _FILES],
            PROVIDERS.index(known) if known else suggested,
        )
        if number > len(PROVIDERS):
            return None
        return PROVIDERS[number].host if number < len(PROVIDERS) else self._host()

    def _host(self) -> str:
        return ask(
            "What is the host name of your outgoing mail server (SMTP)?",
            "Server",
            self._current.host or "localhost",
            valid(SmtpSection, "host"),
        )

    def _security(self, host: str, provider: Provider | None) -> str:
        if provider:
            return self._kept.security if self._kept.host else provider.security
        names = [name for name in _SECURITIES if name != "none" or host in LOOPBACK]
        usual = "none" if host in LOOPBACK else "tls"
        default = self._kept.security if self._kept.host else usual
        number = choose(
            "How is the connection encrypted?",
            [_SECURITIES[name] for name in names],
            names.index(default),
        )
        return names[number]

    def _port(self, security: str, provider: Provider | None) -> str | int:
        same = bool(self._kept.host) and security == self._kept.security
        if provider and security == provider.security:
            return self._kept.port if same else provider.port
        usual = self._kept.port if same else USUAL_PORTS[security]
        return ask("Which port does it listen on?", "Port", str(usual), valid(SmtpSection, "port"))

    def _login(self, provider: Provider | None) -> str | None:
        """Asks for the login. Returns the new password, or `None`."""
        user = self._option("username") or ask(
            "What is the user name there? It is usually your address.",
            "User name",
            self._kept.username or self._address,
            valid(SmtpSection, "username"),
        )
        self._set(username=user)
        if self._option("password_file"):
            self._authenticate_by("password_file", self._option("password_file"))
            return None
        by_preset = provider is not None and provider.login == "token"
        if by_preset or self._option("token_command") or self._kept.token_command:
            self._authenticate_by("token_command", self._token(provider if by_preset else None))
            return None
        return self._password(provider, str(user))

    def _token(self, provider: Provider | None) -> str | int:
        advice = f"{provider.advice}\n" if provider else ""
        return self._option("token_command") or ask(
            f"{advice}Which command prints the token?",
            "Command",
            self._kept.token_command or f"oama access {self._address}",
            valid(SmtpSection, "token_command"),
        )

    def _password(self, provider: Provider | None, user: str) -> str | None:
        advice = f"{provider.advice}\n" if provider else ""
        name = "App password" if provider else "Password"
        stored = self._stored
        is_same = (stored.host, stored.username) == (self._settings[f"{_SMTP}host"], user)
        is_kept = is_same and bool(stored.password_file or stored.password.get_secret_value())
        password = ask_secret(
            f"{advice}It is stored in a file that only you can read, and not shown as you type.",
            f"{name} (Enter keeps the current one)" if is_kept else name,
            required=not is_kept,
        )
        if not password:
            return None
        self._authenticate_by("password_file", stored.password_file or None)
        return "".join(password.split()) if provider else password

    def _without_login(self) -> Settings:
        self._set(username=None)
        self._authenticate_by("", None)
        return self._settings

    def _authenticate_by(self, key: str, value: str | int | None) -> None:
        """Sets the one secret that is used, and removes the others."""
        secrets: Settings = {"password": None, "password_file": None, "token_command": None}
        self._set(**{**secrets, **({key: value} if key else {})})

    def _option(self, key: str) -> str | int | None:
        return self._given.get(f"{_SMTP}{key}")

    def _set(self, **settings: str | int | None) -> None:
        for key, value in settings.items():
            self._settings[f"{_SMTP}{key}"] = value


def _logs_in(config: Config, password: str | None) -> bool:
    """Tries the login, and says how it went."""
    smtp = config.transports.smtp
    say()
    say(f"Connecting to {smtp.host}:{smtp.port} …")
    try:
        initial_setup.try_login(smtp, smtp_password(config) if password is None else password)
    except ConfigError as error:
        complain(error)
        return False
    except SessionFailed as error:
        say(f"error: {error.where}: {error.what}", err=True)
        stage, what = error.reply.stage, error.what
        for line in login_advice(stage, what, smtp.host, smtp.port, smtp.security).splitlines():
            say(line, err=True)
        return False
    say("The login works." if smtp.username else "The server answers.")
    return True
