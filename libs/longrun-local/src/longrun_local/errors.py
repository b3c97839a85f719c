"""Errors of the local launcher."""

from __future__ import annotations


class StartError(Exception):
    """Something cannot start; the message says why and what to do about it."""
