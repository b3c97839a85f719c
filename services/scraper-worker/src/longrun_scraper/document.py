"""What is read from a page."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Link(BaseModel):
    """A link of a page: its absolute URL without fragment, its text, and the words of its `rel` (nofollow, …)."""

    model_config = ConfigDict(frozen=True)

    url: str
    text: str
    rel: list[str]


class Document(BaseModel):
    """A parsed page. `truncated` lists what is incomplete: `title`, `h1`, `links`, or the whole `body`.

    `refresh` is the target of the page's refresh. Only HTML has a title, headings and links.
    """

    model_config = ConfigDict(frozen=True)

    content_type: str | None
    charset: str | None
    title: str | None = None
    h1: list[str] = []
    links: list[Link] = []
    truncated: list[str] = []
    refresh: str | None = None
