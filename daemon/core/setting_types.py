"""What a setting's value may be: checked types that the sections share, and the base of all sections.

A check's message says what is wrong without telling the value, as several values are secrets.
"""

import ipaddress
import shlex
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from daemon.core.archive_keys import parse_archive_keys
from daemon.core.redis_address import parse_redis_address


def _port_fits(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _shell_words(value: str) -> str:
    shlex.split(value)
    return value


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not _port_fits(value):
        raise ValueError("must be a full http:// or https:// address")
    return value


def _redis_url(value: SecretStr) -> SecretStr:
    parse_redis_address(value.get_secret_value())
    return value


_DATABASE_SCHEMES = {"mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql", "pgsql", "postgres", "postgresql",
                     "postgresql+psycopg", "sqlite"}  # fmt: skip


def _database_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if url and url.partition("://")[0] not in _DATABASE_SCHEMES:
        raise ValueError("must start with mysql://, mariadb://, pgsql://, postgres:// or sqlite:///")
    if not _port_fits(url):
        raise ValueError("must have a port from 1 to 65535; in a password, / ? # @ are written as %2F %3F %23 %40")
    return value


def _archive_keys(value: SecretStr) -> SecretStr:
    parse_archive_keys(value.get_secret_value())
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
ShellWords = Annotated[str, AfterValidator(_shell_words)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
ArchiveKeyList = Annotated[SecretStr, AfterValidator(_archive_keys)]
Milliseconds = Annotated[int, Field(ge=0)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Section(BaseSettings):
    """Base of all sections: frozen, empty values count as not set, names as they are in the environment."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, case_sensitive=True)


def is_loopback(host: str) -> bool:
    """Whether only this host can reach a server that listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
