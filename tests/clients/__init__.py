"""Clients that other tools generate from the OpenAPI document: they compile as they are, and work."""
