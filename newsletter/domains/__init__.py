"""What the name system says of the domain that mail comes from, judged. Pure: answers in.

SPF (RFC 7208) says who may send for a domain, DKIM (RFC 6376) is a signature, and DMARC
(RFC 9989) ties one of them to the sender that a reader sees. A question that got no answer is
never taken for a record that is missing.
"""

from newsletter.domains.findings import (
    Answer,
    Finding,
    Level,
    Unanswered,
    failure,
    is_below,
    is_example,
    is_special,
    ok,
    tags,
    warning,
)
from newsletter.domains.others import Reverse, dkim, dkim_unseen, is_public, mail_exchange, reverse
from newsletter.domains.policies import Walk, alignment, dmarc, dmarc_records, walk_names
from newsletter.domains.senders import (
    MOST_LOOKUPS,
    Spf,
    may_be_asked,
    read_spf,
    spf,
    spf_records,
    spf_to_publish,
)

__all__ = [
    "MOST_LOOKUPS",
    "Answer",
    "Finding",
    "Level",
    "Reverse",
    "Spf",
    "Unanswered",
    "Walk",
    "alignment",
    "dkim",
    "dkim_unseen",
    "dmarc",
    "dmarc_records",
    "failure",
    "is_below",
    "is_example",
    "is_public",
    "is_special",
    "mail_exchange",
    "may_be_asked",
    "ok",
    "read_spf",
    "reverse",
    "spf",
    "spf_records",
    "spf_to_publish",
    "tags",
    "walk_names",
    "warning",
]
