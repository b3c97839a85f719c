"""The general worker of Longrun."""
