"""`POST /stream-tokens`: a token with which a page in a browser opens a stream."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from jobcore.models.caller import Scope
from longrun_api.auth.grants import grant_of
from longrun_api.auth.scopes import needs
from longrun_api.openapi import problem_responses
from longrun_api.runtime import runtime_of
from longrun_api.times import Utc

router = APIRouter(prefix="/stream-tokens", tags=["keys"])


class StreamToken(BaseModel):
    """A token that opens streams of its caller, for a minute."""

    token: str = Field(description="Send it as the query parameter `stream_token` of a stream.")
    expires_at: Utc = Field(description="Until then it opens streams; those that are open go on.")


@router.post("", status_code=HTTPStatus.CREATED, response_model=StreamToken, responses=problem_responses(400, 503))
@needs(Scope.READ)
async def create_stream_token(request: Request) -> Response:
    """Make a token for `EventSource` in a browser, which cannot send the header Authorization."""
    token, until = await runtime_of(request).authenticator.tokens.make(grant_of(request))
    shown = StreamToken(token=token, expires_at=datetime.fromtimestamp(until, UTC))
    return Response(shown.model_dump_json(), HTTPStatus.CREATED, {"Cache-Control": "no-store"}, "application/json")
