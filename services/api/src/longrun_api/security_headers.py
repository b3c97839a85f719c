"""Headers of every response that tell browsers to be careful with it."""

from __future__ import annotations

from typing import Final

SECURITY_HEADERS: Final = {
    # a response is what its Content-Type says, never a script or a page by its looks
    "X-Content-Type-Options": "nosniff",
    # no page may frame this API, so none can trick its user into a click (CSP 3, section 6.4.2)
    "Content-Security-Policy": "frame-ancestors 'none'",
    # task ids stay here; `no-referrer` would also hide the origin of our own pages, which the check of origins needs
    "Referrer-Policy": "same-origin",
}
