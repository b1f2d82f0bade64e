"""Settings from the environment or `.env`: every name, its bounds, and what a slip of the finger is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrails.errors import SettingsError
from guardrails.settings import Scenario, Settings, load_settings


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without `.env`, an environment without our names."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path


def test_the_defaults_ask_nothing() -> None:
    settings = load_settings()
    assert settings.guardrails_sources == ("demo",)
    assert settings.guardrails_demo_scenario is Scenario.CALM
    assert settings.guardrails_refresh_seconds == 2
    assert settings.guardrails_snapshot_seconds == 60
    assert settings.guardrails_prices is None
    assert settings.guardrails_matrix.name == "risk_matrix.yaml"
    assert settings.guardrails_matrix.exists()
    assert settings.guardrails_data_dir.is_absolute()


def test_without_settings_nobody_is_told_anything() -> None:
    settings = load_settings()
    assert (settings.slack_webhook_url, settings.alert_urls, settings.heartbeat_url) == (None, None, None)
    assert (settings.smtp_host, settings.smtp_port, settings.smtp_starttls) == ("", 587, True)
    assert (settings.smtp_password, settings.alert_email_from, settings.alert_email_to) == (None, "", ())
    assert settings.guardrails_link == "http://127.0.0.1:8501"


@pytest.mark.parametrize("name", ["SLACK_WEBHOOK_URL", "SMTP_PASSWORD", "ALERT_URLS", "HEARTBEAT_URL"])
def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "hunter2")
    assert "hunter2" not in repr(load_settings())


def test_the_matrix_in_the_working_folder_comes_first(clean: Path) -> None:
    (clean / "risk_matrix.yaml").write_text("")
    assert load_settings().guardrails_matrix.resolve() == clean / "risk_matrix.yaml"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("GUARDRAILS_SOURCES", "demo, statement:a b.xml ,", ("demo", "statement:a b.xml")),
        ("GUARDRAILS_SOURCES", "statement:C:\\x.csv", ("statement:C:\\x.csv",)),
        ("GUARDRAILS_DEMO_SCENARIO", "crash", Scenario.CRASH),
        ("GUARDRAILS_DATA_DIR", "/var/x", Path("/var/x")),
        ("GUARDRAILS_MATRIX", "other.yaml", Path("other.yaml")),
        ("GUARDRAILS_PRICES", "p.csv", Path("p.csv")),
        ("GUARDRAILS_REFRESH_SECONDS", "0.2", 0.2),
        ("GUARDRAILS_REFRESH_SECONDS", "10", 10),
        ("GUARDRAILS_SNAPSHOT_SECONDS", "1", 1),
        ("GUARDRAILS_SNAPSHOT_SECONDS", "3600", 3600),
        ("ALERT_EMAIL_TO", "ann@example.com, Bob <bob@example.com> ,", ("ann@example.com", "Bob <bob@example.com>")),
        ("ALERT_EMAIL_TO", "", ()),
        ("SMTP_PORT", "465", 465),
        ("SMTP_STARTTLS", "off", False),
        ("GUARDRAILS_LINK", "https://desk.example:8501/", "https://desk.example:8501"),
        ("GUARDRAILS_LINK", "http://[::1]:8501", "http://[::1]:8501"),
    ],
)
def test_every_setting_is_taken(monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object) -> None:
    monkeypatch.setenv(name, text)
    assert getattr(load_settings(), name.lower()) == value


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("GUARDRAILS_SOURCES", "", "empty"),
        ("GUARDRAILS_SOURCES", " , ", "empty"),
        ("GUARDRAILS_SOURCES", "demmo", "'demmo'"),
        ("GUARDRAILS_SOURCES", "statement:", "'statement:'"),
        ("GUARDRAILS_SOURCES", "demo,ibkrr", "'ibkrr'"),
        ("GUARDRAILS_SOURCES", "ibkr,demo", "demo beside ibkr"),
        ("GUARDRAILS_SOURCES", "demo,tastytrade,ibkr", "demo beside ibkr and tastytrade"),
        ("GUARDRAILS_DEMO_SCENARIO", "boom", "calm"),
        ("GUARDRAILS_REFRESH_SECONDS", "0.19", "0.2"),
        ("GUARDRAILS_REFRESH_SECONDS", "10.1", "10"),
        ("GUARDRAILS_REFRESH_SECONDS", "nan", "10"),
        ("GUARDRAILS_REFRESH_SECONDS", "soon", "number"),
        ("GUARDRAILS_SNAPSHOT_SECONDS", "0.9", "1"),
        ("GUARDRAILS_SNAPSHOT_SECONDS", "3601", "3600"),
        ("SMTP_PORT", "0", "1"),
        ("SMTP_PORT", "65536", "65535"),
        ("SMTP_STARTTLS", "perhaps", "bool"),
        ("GUARDRAILS_LINK", "desk.example", "http://"),
        ("GUARDRAILS_LINK", "https://desk.example/alerts", "nothing behind"),
        ("GUARDRAILS_LINK", "https://ann@desk.example", "a host"),
        ("GUARDRAILS_LINK", "javascript://x", "http://"),
    ],
)
def test_a_wrong_value_names_the_setting_and_the_bound(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, word: str
) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert str(error.value).startswith(f"{name}: ")
    assert word in str(error.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("GUARDRAILS_SOURCE", "GUARDRAILS_SOURCES"), ("GUARDRAILS_REFRESH_SECOND", "GUARDRAILS_REFRESH_SECONDS")],
)
def test_a_misspelt_name_is_an_error_with_the_right_one(monkeypatch: pytest.MonkeyPatch, name: str, meant: str) -> None:
    monkeypatch.setenv(name, "demo")
    with pytest.raises(SettingsError, match=f"did you mean {meant}"):
        load_settings()


def test_a_name_like_no_other_is_told_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARDRAILS_XYZZY", "1")
    with pytest.raises(SettingsError, match=r"known are .*GUARDRAILS_SOURCES"):
        load_settings()


def test_every_problem_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARDRAILS_REFRESH_SECONDS", "0")
    monkeypatch.setenv("GUARDRAILS_DEMO_SCENARIO", "boom")
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert len(str(error.value).splitlines()) == 2


def test_names_of_others_are_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARDRAIL_SOURCES", "x")
    assert load_settings().guardrails_sources == ("demo",)


@pytest.mark.parametrize(
    "line",
    [
        "GUARDRAILS_SOURCES=statement:x.xml",
        "export GUARDRAILS_SOURCES=statement:x.xml",
        "guardrails_sources=statement:x.xml",
    ],
)
def test_dotenv_is_read(clean: Path, line: str) -> None:
    (clean / ".env").write_text(f"# a comment\n\nOTHER=1\n{line}\n", encoding="utf-8")
    assert load_settings().guardrails_sources == ("statement:x.xml",)


def test_the_environment_wins_over_dotenv(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clean / ".env").write_text("GUARDRAILS_SOURCES=statement:x.xml\n", encoding="utf-8")
    monkeypatch.setenv("GUARDRAILS_SOURCES", "demo")
    assert load_settings().guardrails_sources == ("demo",)


@pytest.mark.parametrize(
    "line", ["GUARDRAILS_SORCES=demo", "export GUARDRAILS_SORCES=demo", "  GUARDRAILS_SORCES = demo"]
)
def test_a_misspelt_name_in_dotenv_is_found_too(clean: Path, line: str) -> None:
    (clean / ".env").write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="did you mean GUARDRAILS_SOURCES"):
        load_settings()


def test_a_value_is_not_repeated_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARDRAILS_REFRESH_SECONDS", "hunter2")
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert "hunter2" not in str(error.value)
