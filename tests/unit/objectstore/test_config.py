"""How the store is reached, and what never shows."""

import pytest
from pydantic import SecretStr

from daemon.core.errors import SettingsError
from daemon.core.sections import ObjectStoreSettings
from daemon.objectstore.client import make_check_client, make_client
from daemon.objectstore.config import ObjectStoreConfig, object_store_config

SECRET = "a-secret-key-of-tests"


def config(endpoint: str, **changes: str) -> ObjectStoreConfig:
    given = {"access_key": "access", "secret_key": SECRET, "bucket": "sessions"} | changes
    return ObjectStoreConfig(endpoint=endpoint, **given)  # type: ignore[arg-type]  # only text fields


def test_settings_become_a_configuration() -> None:
    settings = ObjectStoreSettings(
        R2_ACCOUNT_ID="abc",
        R2_ACCESS_KEY_ID="access",
        R2_SECRET_ACCESS_KEY=SecretStr(SECRET),
        R2_BUCKET_NAME="sessions",
    )
    made = object_store_config(settings)
    assert (made.host, made.secure, made.region) == ("abc.r2.cloudflarestorage.com", True, "auto")
    assert SECRET not in repr(made) + repr(settings)


@pytest.mark.parametrize(
    ("endpoint", "host", "secure"),
    [
        ("http://127.0.0.1:9315", "127.0.0.1:9315", False),
        ("https://abc.eu.r2.cloudflarestorage.com/", "abc.eu.r2.cloudflarestorage.com", True),
        ("https://abc.r2.cloudflarestorage.com/sessions", "abc.r2.cloudflarestorage.com", True),
    ],
)
def test_endpoints_that_people_paste_work(endpoint: str, host: str, secure: bool) -> None:
    made = config(endpoint)
    assert (made.host, made.secure) == (host, secure)
    assert make_client(made) and make_check_client(made)


@pytest.mark.parametrize("endpoint", ["https://h/other", "https://u:p@h", "https://h?x=1", "nothing"])
def test_other_endpoints_are_refused_before_anything_is_sent(endpoint: str) -> None:
    with pytest.raises(SettingsError) as raised:
        make_client(config(endpoint))
    assert "R2_BUCKET_NAME" in raised.value.hint


def test_a_path_prefix_is_part_of_every_address() -> None:
    client = make_client(config("http://127.0.0.1:1", path_prefix="/cdn/s3/"))
    url = client._base_url.build(method="GET", region="auto", bucket_name="b", object_name="k")
    assert url.path == "/cdn/s3/b/k"
