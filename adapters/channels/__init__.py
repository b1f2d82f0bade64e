"""Ways to reach a person: the log, Slack, mail, and every service that Apprise knows. Opening sends nothing."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import SecretStr

from adapters.channels.log import LogChannel
from guardrails.alerts.channel import Channel
from guardrails.settings import Settings

_MAIL_SETTINGS = ("smtp_host", "smtp_user", "smtp_password", "alert_email_from", "alert_email_to")
"""one of them set means that mail is wanted"""


def open_channels(settings: Settings) -> list[Channel]:
    """The log, and what is configured: a channel that lacks something has a `problem` instead of missing silently.

    Names are unique; a second `slack` is `slack-2`.
    """
    channels: list[Channel] = [LogChannel()]
    if _given(settings.slack_webhook_url):
        from adapters.channels.slack import SlackChannel  # noqa: PLC0415  # loads the SDK, which few need

        channels.append(SlackChannel(_given(settings.slack_webhook_url) or SecretStr("")))
    if any(getattr(settings, name) for name in _MAIL_SETTINGS):
        channels.append(_mail(settings))
    channels.extend(_others(settings, {channel.name for channel in channels}))
    return channels


def check_channels(settings: Settings) -> list[tuple[str, bool, str]]:
    """For `doctor`: what is configured, whether it is complete, and what to do; sends nothing."""
    channels = open_channels(settings)
    found = [(f"alerts to {one.name}", not one.problem, one.problem or _ready(one)) for one in channels]
    if len(channels) == 1:
        hint = "only the log; SLACK_WEBHOOK_URL, SMTP_HOST or ALERT_URLS would make an alert reach a person"
        found = [("alerts to log", True, hint)]
    return [*found, _heartbeat(settings)]


def _ready(channel: Channel) -> str:
    if channel.name == "log":
        return "ready"
    return f"{channel.kind}, complete; `guardrails alerts test` sends one to see whether it arrives"


def _heartbeat(settings: Settings) -> tuple[str, bool, str]:
    from adapters.channels.heartbeat import SETTING  # noqa: PLC0415  # only the watch needs it otherwise
    from adapters.channels.web import host_of, problem_of  # noqa: PLC0415  # as above

    url = _given(settings.heartbeat_url)
    if url is None:
        return "heartbeat", True, f"{SETTING} is not set: nobody is told when this program or this machine dies"
    problem = problem_of(url.get_secret_value().strip(), SETTING)
    return (
        "heartbeat",
        not problem,
        problem or f"{host_of(url.get_secret_value())} is pinged once a minute while all is well",
    )


def _mail(settings: Settings) -> Channel:
    from adapters.channels.mail import MailChannel  # noqa: PLC0415  # loads smtplib and email, which few need
    from adapters.channels.post import Post  # noqa: PLC0415  # as above

    user = settings.smtp_user.strip()
    sender = settings.alert_email_from.strip() or (user if "@" in user else "")
    return MailChannel(
        Post(
            settings.smtp_host.strip(),
            settings.smtp_port,
            user,
            _given(settings.smtp_password),
            settings.smtp_starttls,
            sender,
            settings.alert_email_to,
        )
    )


def _others(settings: Settings, taken: set[str]) -> Iterator[Channel]:
    from adapters.channels.apprise_urls import AppriseChannel, entries  # noqa: PLC0415  # as above

    urls = _given(settings.alert_urls)
    for entry in entries(urls.get_secret_value()) if urls else ():
        channel = AppriseChannel(entry)
        channel.name = _unique(channel.name, taken)
        taken.add(channel.name)
        yield channel


def _unique(name: str, taken: set[str]) -> str:
    number, free = 2, name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free


def _given(secret: SecretStr | None) -> SecretStr | None:
    """None for what is not set, or set to blanks."""
    return secret if secret is not None and secret.get_secret_value().strip() else None
