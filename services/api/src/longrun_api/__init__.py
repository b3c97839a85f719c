"""The HTTP API of Longrun."""
