"""Tests of messages: MIME, personalisation, signed tokens."""
