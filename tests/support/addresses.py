"""Strategies for addresses as visitors and files may write them."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.support.builders import HOSTILE

ANYTHING = st.text(st.characters())

ACTING = "\r\n\x00\t <>\"'(),:;\\=?@[]|%!`.\u2028\u202e\u200b\u037e\u0338\ufeff"

NEAR = st.text(st.sampled_from("abzAZ09.-_+@éßİǰ灯" + ACTING), max_size=30)

DOMAINS = st.sampled_from(
    [
        *("example.org", "Example.ORG", "mail.lab-1.example", "localhost", "lab", "a.test"),
        *("münchen.de", "xn--mnchen-3ya.de", "灯台.jp", "example..org", "-a.org", "10.0.0.1"),
    ]
)

PLAIN = st.from_regex(r"\A[A-Za-z0-9_+.-]{1,70}\Z")

WRITTEN = st.one_of(
    ANYTHING,
    NEAR,
    st.emails(),
    st.builds("{}@{}".format, PLAIN | NEAR | ANYTHING, DOMAINS),
    st.builds("{}{}{}@example.org{}".format, NEAR, st.sampled_from(ACTING), NEAR, ANYTHING),
    st.sampled_from(
        ["a@b.org\r\nRCPT TO:<c@d.org>", "a@b.org>\r\nDATA", "a\nBcc:x@y.org", *HOSTILE]
    ),
)
