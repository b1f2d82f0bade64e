"""HTTP/1.1 as far as the stand-in needs it: requests read from bytes, answers written to them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote

HEAD_END = b"\r\n\r\n"
NGINX = "<html>\r\n<head><title>{0}</title></head>\r\n<body><h1>{0}</h1><hr>nginx</body>\r\n</html>\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """One request, its path split before it is decoded, so that `%2F` stays inside a symbol."""

    method: str
    segments: tuple[str, ...]
    query: dict[str, list[str]]
    headers: dict[str, str]
    """by lower-case name"""
    body: bytes
    raw: bytes

    @property
    def path(self) -> str:
        return "/" + "/".join(self.segments)

    @property
    def bearer(self) -> str:
        """The token behind `Authorization: Bearer`, else empty."""
        return self.headers.get("authorization", "").removeprefix("Bearer ").strip()

    def one(self, name: str, default: str = "") -> str:
        """The last value of a query parameter."""
        return self.query.get(name, [default])[-1]

    def many(self, name: str) -> list[str]:
        """Every value of a parameter, whether repeated, bracketed or comma-separated."""
        told = self.query.get(name, []) + self.query.get(f"{name}[]", [])
        return [part for value in told for part in value.split(",") if part]

    def json(self) -> dict[str, Any]:
        """The body as an object; empty when it is none."""
        try:
            told = json.loads(self.body or b"{}")
        except ValueError:
            return {}
        return told if isinstance(told, dict) else {}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer before its Date header."""

    status: int
    body: bytes
    kind: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)

    def bytes(self, now: datetime) -> bytes:
        """As it goes over the wire at `now`, which must be in UTC."""
        head = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Date: {format_datetime(now, usegmt=True)}",
        ]
        told = {"Server": "nginx", "Content-Type": self.kind, "Content-Length": str(len(self.body)), **self.headers}
        return "\r\n".join([*head, *(f"{name}: {value}" for name, value in told.items()), "", ""]).encode() + self.body


class Refused(Exception):  # noqa: N818  # an answer, not a mistake of the program
    """What a request is refused with."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.answer = error(status, code, message)


def read(received: bytes) -> tuple[Request | None, bytes]:
    """The first whole request in what was received, and the bytes behind it; None while it is not whole."""
    head, found, rest = received.partition(HEAD_END)
    if not found:
        return None, received
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    size = int(headers.get("content-length", "0"))
    if len(rest) < size:
        return None, received
    method, target, _ = first.split(" ", 2)
    path, _, query = target.partition("?")
    segments = tuple(unquote(part) for part in path.split("/") if part)
    request = Request(method, segments, parse_qs(query), headers, rest[:size], head + HEAD_END + rest[:size])
    return request, rest[size:]


def data(told: object, **beside: object) -> Answer:
    """200 with `{"data": told}` and what stands beside it."""
    return document(200, {"data": told, **beside})


def document(status: int, told: object, **headers: str) -> Answer:
    """Any JSON document."""
    return Answer(status, json.dumps(told, default=str).encode(), headers=dict(headers))


def error(status: int, code: str, message: str, **headers: str) -> Answer:
    """An error as the API words it."""
    return document(status, {"error": {"code": code, "message": message}}, **headers)


def page(status: int) -> Answer:
    """An error page of the proxy in front of the API."""
    return Answer(status, NGINX.format(f"{status} {HTTPStatus(status).phrase}").encode(), "text/html")
