"""The login and the tokens it gives: bearers for requests, quote tokens for DXLink."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.brokers.tasty_wire import Answer, Request, data, document

if TYPE_CHECKING:
    from tests.brokers.tasty import Tasty

SECRET, REFRESH = "not-a-secret", "not-a-refresh-token"
"""what every stand-in accepts: TT_SECRET and TT_REFRESH of a test"""


def token(tasty: Tasty, request: Request) -> Answer:
    """A new bearer for the right client secret and refresh token, else a refusal without `error`, as the API's."""
    told = request.json()
    if tasty.hit("token_flaky"):
        return _refused("invalid_request", "User is not a TastyTrade customer")
    if dead := tasty.hit("grant_dead"):
        return _refused(dead.get("code", "invalid_grant"), "Grant revoked")
    if told.get("grant_type") != "refresh_token":
        return _refused("unsupported_grant_type", "Only refresh_token is spoken here")
    if (told.get("client_secret"), told.get("refresh_token")) != (SECRET, REFRESH):
        return _refused("invalid_grant", "Grant revoked")
    bearer = tasty.new_bearer()
    return document(200, {"access_token": bearer, "token_type": "Bearer", "expires_in": tasty.expires_in})


def _refused(code: str, words: str) -> Answer:
    return document(400, {"error_code": code, "error_description": words})


def quote_token(tasty: Tasty, request: Request) -> Answer:
    """A token for DXLink, good for 24 hours, and where to bring it."""
    now = tasty.clock()
    return data(
        {
            "token": tasty.new_quote_token(),
            "dxlink-url": f"ws://127.0.0.1:{tasty.port}/dxlink",
            "level": tasty.level,
            "issued-at": now.isoformat(),
        },
        context=request.path,
    )
