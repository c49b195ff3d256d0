"""Laravel's addresses become SQLAlchemy's."""

import pytest
from pydantic import ValidationError

from daemon.core.sections import PlatformSettings
from daemon.platform.address import database_url
from daemon.platform.errors import PlatformRefusedError


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("mysql://u:p%40@h:3307/db", "mysql+pymysql://u:p%40@h:3307/db"),
        ("mysql://u@h/db?charset=utf8mb4", "mysql+pymysql://u@h/db?charset=utf8mb4"),
        ("mariadb://u@h/db", "mariadb+pymysql://u@h/db"),
        ("pgsql://u:p@h/db?charset=utf8&sslmode=require", "postgresql+psycopg://u:p@h/db?sslmode=require"),
        ("postgres://u@h/db", "postgresql+psycopg://u@h/db"),
        ("postgresql://u@h/db", "postgresql+psycopg://u@h/db"),
        ("postgresql+psycopg://u@h/db", "postgresql+psycopg://u@h/db"),
        ("sqlite:////var/a%20b", "sqlite:///file%3A/var/a%2520b?mode=ro&uri=true"),
    ],
)
def test_an_address_gets_the_driver_that_is_installed(address: str, url: str) -> None:
    assert database_url(address).render_as_string(hide_password=False) == url


@pytest.mark.parametrize("address", ["mysql://u:secret@h", "mysql://u:secret@h/", "sqlite://", "sqlite:///:memory:"])
def test_an_address_without_a_database_is_a_refusal(address: str) -> None:
    with pytest.raises(PlatformRefusedError) as raised:
        database_url(address)
    assert "secret" not in f"{raised.value} {raised.value.hint}"


@pytest.mark.parametrize("address", ["oracle://u@h/d", "mysql+mysqldb://u@h/d", "mysql:/u@h", "mysql://u:p#a@h/d"])
def test_other_addresses_are_refused_when_settings_load(address: str) -> None:
    with pytest.raises(ValidationError):
        PlatformSettings.model_validate({"SESSIONS_DATABASE_URL": address})


def test_no_address_is_no_platform() -> None:
    assert not PlatformSettings.model_validate({}).configured
    assert PlatformSettings.model_validate({"SESSIONS_DATABASE_URL": "sqlite:////a"}).configured
