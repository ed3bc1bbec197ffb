"""What the domain says of its mail, as others see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from newsletter import domains
from newsletter.app.doctor.mail import Mail
from newsletter.app.editions import owner_address, sender
from newsletter.config.values import domain, name_and_address
from newsletter.domains import Answer, Finding, Reverse, Unanswered, Walk, ok


class Domains(Mail):
    """And at what the domain says of its mail."""

    @property
    def _bounces(self) -> str:
        """The domain of the envelope's sender."""
        return self._config.newsletter.bounce_domain or self._domain

    def _whether_to_ask(self) -> Iterator[Finding]:
        if self._asked.offline:
            yield ok("not asked (--offline)")
        elif not self._domain and self._config.newsletter.sender:
            yield ok(f"not asked: {sender(self._config).domain} is for one network or for tests")
        elif not self._domain:
            yield ok("not asked: no sender is configured")

    def _spf(self) -> Iterator[Finding]:
        if not self._domain:
            return
        host = self._config.transports.smtp.host
        by_smtp = self._config.delivery.transport == "smtp"
        publish = domains.spf_to_publish(
            self._bounces, host if by_smtp else "", here=by_smtp and self._is_here
        )
        answer = self._resolver.txt(self._bounces)
        yield domains.spf(self._bounces, answer, self._referred(answer), publish)

    def _referred(self, first: Answer) -> dict[str, Answer]:
        """What an SPF record refers to, as far as a receiver would look."""
        found: dict[str, Answer] = {}
        waiting = [first]
        while waiting:
            answer = waiting.pop(0)
            if isinstance(answer, Unanswered):
                break
            records = domains.spf_records(answer)
            for name in (name for record in records for name in domains.read_spf(record).refers):
                new = name not in found and domains.may_be_asked(name)
                if new and len(found) < domains.MOST_LOOKUPS:
                    found[name] = self._resolver.txt(name)
                    waiting.append(found[name])
        return found

    def _dkim(self) -> Iterator[Finding]:
        if not self._domain:
            return
        if not self._asked.selector:
            yield domains.dkim_unseen(self._domain)
            return
        answer = self._resolver.txt(f"{self._asked.selector}._domainkey.{self._domain}")
        yield domains.dkim(self._domain, self._asked.selector, answer)

    def _dmarc(self) -> Iterator[Finding]:
        if not self._domain:
            return
        walk = self._walk(self._domain)
        yield domains.dmarc(walk, owner_address(self._config))
        if self._bounces != self._domain:
            yield domains.alignment(walk, self._walk(self._bounces))

    def _walk(self, start: str) -> Walk:
        walk = Walk(start)
        for name in domains.walk_names(start):
            answer = self._resolver.txt(f"_dmarc.{name}")
            walk = replace(walk, found=(*walk.found, (name, answer)))
            if walk.is_done:
                break
        return walk

    def _mx(self) -> Iterator[Finding]:
        if not self._domain:
            return
        reply_to = name_and_address(self._config.newsletter.reply_to)[1].rpartition("@")[2]
        takers: dict[str, list[str]] = {}
        takers.setdefault(domain(reply_to) or self._domain, []).append("replies")
        takers.setdefault(self._bounces, []).append("bounces")
        for name, what in takers.items():
            if not domains.is_special(name):
                answer = self._resolver.mx(name)
                hosts = answer if isinstance(answer, tuple) else ()
                asked = {host: self._resolver.addresses(host) for host in hosts[:3] if host}
                if not hosts:
                    asked[name] = self._resolver.addresses(name)
                yield domains.mail_exchange(name, answer, asked, " and ".join(what))

    def _ptr(self) -> Iterator[Finding]:
        if not self._domain or self._config.delivery.transport != "smtp":
            return
        if not self._is_here:
            host = self._config.transports.smtp.host
            yield ok(f"the name of the machine that sends is the business of {host}")
            return
        name = self._machine()
        addresses = self._resolver.addresses(name)
        listed = addresses if isinstance(addresses, tuple) else ()
        found = [self._reverse(one) for one in listed if domains.is_public(one)]
        yield from domains.reverse(name, addresses, found)

    def _reverse(self, address: str) -> Reverse:
        names = self._resolver.ptr(address)
        listed = names if isinstance(names, tuple) else ()
        return Reverse(
            address, names, {name: self._resolver.addresses(name) for name in listed[:3]}
        )
