"""The plan of Chromium's flags."""

from pathlib import Path
from typing import Any

import pytest

from shards.browser.flags import BrowserSpec, plain_user_agent, plan_flags


def _plan(**changes: Any) -> tuple[str, ...]:
    fields: dict[str, Any] = {"chromium_path": Path("/c"), "profile_dir": Path("/p")}
    return plan_flags(BrowserSpec(**{**fields, **changes}))


def test_headless_shell_without_a_sandbox_is_as_lean_as_it_gets() -> None:
    flags = _plan(sandbox=False)
    assert {"--in-process-gpu", "--no-zygote", "--no-sandbox"} <= set(flags)
    assert "--enable-features=NetworkServiceInProcess2" in flags


def test_with_its_sandbox_on_chromium_refuses_to_do_without_the_zygote() -> None:
    flags = _plan(sandbox=True)
    assert "--no-zygote" not in flags
    assert "--no-sandbox" not in flags
    assert "--in-process-gpu" in flags


def test_full_chromium_gets_the_new_headless_mode_and_no_lean_flags() -> None:
    flags = _plan(headless_shell=False, sandbox=False)
    assert flags[:2] == ("--headless=new", "--no-sandbox")
    assert not {"--in-process-gpu", "--no-zygote"} & set(flags)
    assert not any(flag.startswith("--enable-features") for flag in flags)


def test_features_of_the_extra_arguments_are_merged_because_the_last_flag_would_win() -> None:
    flags = _plan(extra_args=("--disable-features=Mine,Other", "--enable-features=More", "--lang=pt"))
    disabled = [flag for flag in flags if flag.startswith("--disable-features=")]
    assert len(disabled) == 1
    assert disabled[0].endswith(",Mine,Other")
    assert "--enable-features=NetworkServiceInProcess2,More" in flags
    assert flags[-2:] == ("--lang=pt", "about:blank")


def test_indexeddb_stays_in_the_form_that_snapshots_copy() -> None:
    for headless_shell in (True, False):
        disabled = next(flag for flag in _plan(headless_shell=headless_shell) if flag.startswith("--disable-features="))
        assert {"IdbSqliteBackingStore", "IdbSqliteOnDiskRollout"} <= set(disabled.partition("=")[2].split(","))


def test_the_profile_is_portable_and_the_port_is_chosen_by_the_system_on_loopback() -> None:
    flags = _plan()
    assert {"--password-store=basic", "--use-mock-keychain", "--user-data-dir=/p"} <= set(flags)
    assert {"--remote-debugging-port=0", "--remote-debugging-address=127.0.0.1"} <= set(flags)


@pytest.mark.parametrize("version", ["156.0.8078.79", "156.1.2.3"])
def test_the_user_agent_names_the_major_version_only(version: str) -> None:
    assert "Chrome/156.0.0.0 Safari" in plain_user_agent(version)
    assert "Headless" not in plain_user_agent(version)
