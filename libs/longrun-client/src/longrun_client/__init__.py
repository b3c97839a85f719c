"""Python client and command line of Longrun."""
