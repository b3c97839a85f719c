"""Who may do what: callers are recognised by their credentials, and have scopes (ADR 45).

Authentication ─ header ─▶ Authenticator ─┬─▶ Grants          what is known of credentials in use
(middleware)                              ├─▶ KeyChecks       looks API keys up
                                          └─▶ JwtChecks       checks JWTs ─▶ IssuerKeys ─▶ Issuer
Sweep                                                           ends and forgets grants, looks keys up again
scopes                                                        which scope each operation needs
"""
