"""Tests of what is put together: status, reasons, alerts, maintenance."""
