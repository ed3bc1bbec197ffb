"""Exports of other newsletter services: recognised by their columns, and read by their states.

The rows are invented; the columns are those that the services write.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from newsletter.subscribers.csv_columns import SubscriberRow
from newsletter.subscribers.csv_import import Problem, read
from newsletter.subscribers.other_services import SERVICES, time

LISTMONK = "uuid,email,name,attributes,status,created_at,updated_at"
MAILCHIMP = (
    '"Email Address","First Name","Last Name",Address,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,'
    "CONFIRM_TIME,CONFIRM_IP,TIMEZONE,{}LEID,EUID,NOTES,TAGS"
)
SUBSCRIBED = MAILCHIMP.format("LAST_CHANGED,")
UNSUBSCRIBED = MAILCHIMP.format("UNSUB_TIME,UNSUB_CAMPAIGN_TITLE,UNSUB_REASON,")
CLEANED = MAILCHIMP.format("CLEAN_TIME,CLEAN_CAMPAIGN_TITLE,CLEAN_CAMPAIGN_ID,")
SUBSTACK = "email,active_subscription,expiry,plan,email_disabled,created_at,first_payment_at"
BUTTONDOWN = "id,email_address,type,creation_date,notes,tags,metadata"
BUTTONDOWN_OLD = "email,subscriber_type,creation_date"
GHOST = (
    "id,email,name,note,subscribed_to_emails,complimentary_plan,stripe_customer_id,created_at,"
    "deleted_at,labels,tiers"
)
JUNE = datetime(2025, 6, 1, 8, 30, tzinfo=UTC)
GO = "2025-06-01 08:30:00.123456 +0000 UTC"
ISO = "2025-06-01T08:30:00.000Z"
LATER = "2026-01-02 03:04:05"
LEFT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BEGIN = "a@x.example,Ada,L,1 Harbour Road,2,"


@pytest.mark.parametrize(
    ("service", "header", "row", "fate", "since"),
    [
        ("listmonk", LISTMONK, f'u,a@x.example,A,"{{""k"": 1}}",enabled,{GO},-', "active", JUNE),
        ("listmonk", LISTMONK, f"u,a@x.example,A,{{}},disabled,-,{GO}", "unsubscribed", JUNE),
        ("listmonk", LISTMONK, f"u,a@x.example,A,{{}},blocklisted,-,{GO}", "suppressed", JUNE),
        ("Mailchimp", SUBSCRIBED, f"{BEGIN},,{LATER},,,{LATER},1,e,,", "active", LEFT),
        ("Mailchimp", SUBSCRIBED, f"{BEGIN},,,,,{LATER},1,e,,", "unconfirmed", None),
        ("Mailchimp", UNSUBSCRIBED, f"{BEGIN},,x,,,{LATER},Hi,no,1,e,,", "unsubscribed", LEFT),
        ("Mailchimp", CLEANED, f"{BEGIN},,x,,,{LATER},Hi,9,1,e,,", "suppressed", LEFT),
        ("Substack", SUBSTACK, f"a@x.example,false,,other,false,{ISO},", "active", JUNE),
        ("Substack", SUBSTACK, f"a@x.example,true,,yearly,true,{ISO},", "unsubscribed", None),
        ("Buttondown", BUTTONDOWN, f"s,a@x.example,regular,{ISO},,,{{}}", "active", JUNE),
        ("Buttondown", BUTTONDOWN, f"s,a@x.example,paused,{ISO},,,", "active", JUNE),
        ("Buttondown", BUTTONDOWN, f"s,a@x.example,unactivated,{ISO},,,", "unconfirmed", None),
        ("Buttondown", BUTTONDOWN, f"s,a@x.example,complained,{ISO},,,", "suppressed", None),
        ("Buttondown", BUTTONDOWN_OLD, "a@x.example,unsubscribed,", "unsubscribed", None),
        ("Ghost", GHOST, f'm,a@x.example,A,,true,false,,{ISO},,"a,b",', "active", JUNE),
        ("Ghost", GHOST, f"m,a@x.example,A,,false,false,,{ISO},,,", "unsubscribed", None),
        ("Ghost", GHOST, f"m,a@x.example,A,,true,false,,-,{ISO},,", "unsubscribed", JUNE),
    ],
)
def test_a_row_of_each_service(
    service: str, header: str, row: str, fate: str, since: datetime | None
) -> None:
    """The state and its time are read, whichever columns the account added or a program changed."""
    for text in (header, header.lower(), header.replace(",", ", ")):
        file = read([f"{text}\n", f"{row}\n"])
        assert file.service
        assert (file.service.name, file.ignored) == (service, ())
        ((number, only),) = file.rows
        assert isinstance(only, SubscriberRow), only
        assert only.record
        assert (number, only.address.display, only.cadence) == (2, "a@x.example", "daily")
        assert (only.record.service, only.record.fate, only.record.since) == (service, fate, since)


@pytest.mark.parametrize(
    ("header", "row", "what"),
    [
        (LISTMONK, "u,a@x.example,A,{},asleep,,", "status: “asleep” is not one of enabled, "),
        (UNSUBSCRIBED, f"{BEGIN},,x,,,,Hi,no,1,e,,", "unsub_time: it is empty"),
        (SUBSCRIBED.replace("CONFIRM_TIME", "X"), f"{BEGIN},,,,,,1,e,,", "confirm_time: there is"),
        (SUBSTACK, "a@x.example,false,,other,,,", "email_disabled: “” is neither true nor false"),
        (BUTTONDOWN, "s,a@x.example,new,,,,", "type: “new” is not one of regular, "),
        (GHOST, "m,a@x.example,A,,maybe,,,,,,", "subscribed_to_emails: “maybe” is neither"),
        (GHOST, "m,a,A,,true,,,,,,", 'address: an address has one "@"'),
    ],
)
def test_an_unknown_state_is_an_error(header: str, row: str, what: str) -> None:
    """It is never taken for "active"; the other rows are read."""
    ((_, only),) = read([f"{header}\n", f"{row}\n"]).rows
    assert isinstance(only, Problem), only
    assert what in only.what


def test_a_column_of_the_account_is_not_mistaken_for_one_of_ours() -> None:
    """Mailchimp's "Address" is a street, and a field may be named as a column of ours."""
    header = f"{SUBSCRIBED},cadence,Address\n"
    file = read([header, f"{BEGIN},,{LATER},,,{LATER},1,e,,,often,2 Quay\n"])
    ((_, row),) = file.rows
    assert isinstance(row, SubscriberRow)
    assert (row.address.display, row.cadence) == ("a@x.example", "daily")


def test_a_file_of_our_own_is_no_export() -> None:
    """The columns of ours and an ordinary list of addresses are read as before."""
    for header in ("address,cadence", "Email Address,Name", "email,status,created_at"):
        file = read([f"{header}\n", "a@x.example,\n"])
        ((_, row),) = file.rows
        assert isinstance(row, SubscriberRow)
        assert (file.service, row.record) == (None, None)


def test_an_unknown_header_names_what_can_be_imported() -> None:
    """Our columns, and the services."""
    with pytest.raises(ValueError, match="address,cadence") as caught:
        read(["who,when\n"])
    assert all(service.name in str(caught.value) for service in SERVICES)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("2025-06-01", datetime(2025, 6, 1, tzinfo=UTC)),
        ("2025-06-01 08:30", JUNE),
        ("2025-06-01T10:30:00+02:00", JUNE),
        ("2025-06-01 10:30:00 +0200 CEST", JUNE),
        ("2025-06-31", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("1 June", None),
        ("", None),
    ],
)
def test_times_are_read_in_every_form_that_the_services_write(
    cell: str, expected: datetime | None
) -> None:
    """Without an offset, they are in UTC."""
    assert time(cell) == expected
