"""Reading a JSON request body within a bound, however it is sent."""

from __future__ import annotations

from email.message import Message

from fastapi import Request

from longrun_api.problems import BodyTooLarge, UnsupportedMediaType


async def read_json(request: Request, max_bytes: int) -> bytes:
    """The body; UnsupportedMediaType unless it is declared as JSON, BodyTooLarge past `max_bytes`.

    A declared length is refused before a byte is read; chunked bodies are counted as they come.
    """
    content_type = request.headers.get("content-type", "")
    if content_type != "application/json" and not _is_json(content_type):
        raise UnsupportedMediaType(f"send the header Content-Type: application/json, not {content_type[:100]!r}")
    if int(request.headers.get("content-length", 0)) > max_bytes:
        raise _too_large(max_bytes)
    chunks = []
    left = max_bytes
    async for chunk in request.stream():
        chunks.append(chunk)
        left -= len(chunk)
        if left < 0:
            raise _too_large(max_bytes)
    return b"".join(chunks)


def _is_json(content_type: str) -> bool:
    message = Message()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"at most {max_bytes:,} bytes are taken: put large data elsewhere and send its URL")
