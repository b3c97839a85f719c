"""Convert exceptions of requests, urllib3 and http.client to errors of the task."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator

import requests
from urllib3 import exceptions

from jobcore.outbound.errors import ConnectionFailed, FetchTimeout, InvalidUrl
from longrun_scraper.errors import CertificateRefused, IncompleteRead, InvalidResponse

_INCOMPLETE = (http.client.IncompleteRead, exceptions.IncompleteRead, exceptions.InvalidChunkLength)
_NOT_HTTP = (http.client.HTTPException, exceptions.InvalidHeader, requests.exceptions.InvalidHeader)
_NO_URL = (requests.exceptions.InvalidURL, exceptions.LocationValueError)
_NO_COMMON_TLS = {
    "WRONG_VERSION_NUMBER",  # mostly plain HTTP
    "HTTP_REQUEST",
    "UNSUPPORTED_PROTOCOL",
    "NO_PROTOCOLS_AVAILABLE",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "SSLV3_ALERT_HANDSHAKE_FAILURE",
    "DH_KEY_TOO_SMALL",
}

Explained = CertificateRefused | ConnectionFailed | FetchTimeout | InvalidResponse | InvalidUrl


def explain(error: Exception) -> Explained:
    """The error to raise for this exception, by the first of its causes that is known."""
    causes = [error, *_causes(error)]
    root = causes[-1]
    if isinstance(root, ssl.SSLCertVerificationError):
        return CertificateRefused(f"the certificate is not trusted: {root.verify_message}")
    if isinstance(root, ssl.SSLError) and root.reason in _NO_COMMON_TLS:
        return InvalidResponse(f"no TLS version or cipher in common with the server: {root.reason}")
    if isinstance(root, TimeoutError):
        return FetchTimeout("the server stopped sending")
    for cause in causes:
        if isinstance(cause, _INCOMPLETE):
            return IncompleteRead(f"the page is incomplete: the connection broke{_received(cause)}")
        if isinstance(cause, ConnectionError):  # RemoteDisconnected is an HTTPException too
            return ConnectionFailed(f"the connection failed: {cause}")
        if isinstance(cause, _NOT_HTTP):
            return InvalidResponse(f"the response is not valid HTTP: {cause or type(cause).__name__}")
        if isinstance(cause, _NO_URL):
            return InvalidUrl(str(cause))
    return ConnectionFailed(f"the connection failed: {root}")


def _received(cause: BaseException) -> str:
    partial = getattr(cause, "partial", None)
    count = partial if isinstance(partial, int) else len(partial or b"")
    return f", after {count:,} bytes" if count else ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    while (cause := error.__cause__ or error.__context__) is not None:
        yield cause
        error = cause
