"""Delivers events to webhooks (docs/adr/0051-webhooks.md). The scraper's worker imports `delivery`."""
