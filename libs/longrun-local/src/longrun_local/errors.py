"""What can go wrong on one machine, said in one message that tells what to do."""

from __future__ import annotations


class StartError(Exception):
    """Something cannot start as things are; the message says why and what to do about it."""
