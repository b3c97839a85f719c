"""Requests to hosts that clients name, from inside the operator's network.

The SSRF guard connects to the public internet, and to what the operator allows. docs/adr/0004-ssrf-guard.md
"""
