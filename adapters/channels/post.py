"""How mail leaves this machine, and how an address is told to others."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import getaddresses

from pydantic import SecretStr

from guardrails import wording
from guardrails.redaction import MASK

TLS_PORT = 465
_ADDRESS = re.compile(r"([^\s<>@(\"':])[^\s<>@]*@")
_HOST = re.compile(r"[\w.-]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*(%\w+)?")
"""a name, or an IP address of either kind"""
_MASKED = rf"\1{MASK}@"


@dataclass(frozen=True, slots=True)
class Post:
    """How mail leaves this machine."""

    host: str
    port: int
    user: str
    password: SecretStr | None
    starttls: bool
    sender: str
    recipients: tuple[str, ...]

    @property
    def problem(self) -> str:
        """What is missing or unsafe, naming the setting; empty when nothing is."""
        if not self.host:
            return "SMTP_HOST is not set: name the server that takes mail from you"
        if not _HOST.fullmatch(self.host):
            return "SMTP_HOST is not the name of a server: write only that, like smtp.example.com"
        if not self.recipients:
            return "ALERT_EMAIL_TO is not set: name who is to be told, with commas between"
        if not self.sender:
            return "ALERT_EMAIL_FROM is not set: name the address that mail comes from"
        wrong = [place for place, one in enumerate((self.sender, *self.recipients)) if _address(one) is None]
        if wrong:
            names = ["ALERT_EMAIL_FROM" if place == 0 else f"address {place} of ALERT_EMAIL_TO" for place in wrong]
            return f"{wording.names(names)} cannot be read; write them like name@example.com"
        if bool(self.user) != bool(self.password):
            return f"{'SMTP_PASSWORD' if self.user else 'SMTP_USER'} is not set: give both or none"
        if self.password and not self.encrypted and not _is_loopback(self.host):
            return "SMTP_STARTTLS is off: the password would cross the network in the clear; turn it on or use port 465"
        return ""

    @property
    def encrypted(self) -> bool:
        """Whether nothing is sent in the clear."""
        return self.starttls or self.tls_from_the_start

    @property
    def tls_from_the_start(self) -> bool:
        """Whether the port speaks TLS from the first byte (RFC 8314 3.3)."""
        return self.port == TLS_PORT


def hidden(text: str) -> str:
    """`text` with every address in it as `j•••@example.com`: enough to see which of one's own it is."""
    return _ADDRESS.sub(_MASKED, text)


def bare(text: str) -> str:
    """`a@b.c` of `Name <a@b.c>`."""
    return getaddresses([text])[0][1]


def _address(text: str) -> Address | None:
    """`text` as an address; None when it is none, or more than one."""
    found = getaddresses([text])
    if len(found) != 1 or not text.isprintable():
        return None
    try:
        address = Address(addr_spec=found[0][1])
    except (MessageError, ValueError, IndexError):
        return None
    return address if address.username and address.domain else None


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
