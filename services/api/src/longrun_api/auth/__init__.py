"""Who may do what: callers are recognised by their credentials, and have scopes (ADR 45).

Authentication ─ header ─▶ Authenticator ─┬─▶ Grants          what is known of credentials in use
(middleware)                              └─▶ KeyChecks       looks keys up, and looks again every few seconds
scopes                                                        which scope each operation needs
"""
