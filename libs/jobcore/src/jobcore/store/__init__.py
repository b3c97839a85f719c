"""All SQL of Longrun, a file a noun. Each function is one statement string and one transaction.

Every room above may use it; it imports host, telemetry and the shared words.
"""
