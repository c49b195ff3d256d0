"""A shard that cannot ever work says so in one line and is not started again."""

from pathlib import Path

from daemon.core.exit_codes import ExitCode
from tests.integration.house.conftest import Open


async def test_a_chromium_that_is_not_there_is_a_wrong_setting(open_house: Open) -> None:
    async with open_house() as house:
        house._settings["CHROMIUM_PATH"] = "/nowhere/chromium"
        await house.stop("shard_00")
        log = Path(house.home / "shard_00.log")
        log.unlink()
        await house.start("shard_00")
        assert await house.processes["shard_00"].wait() == ExitCode.CONFIG
        assert "CHROMIUM_PATH='/nowhere/chromium' is not allowed" in log.read_text()


async def test_a_second_process_of_a_name_leaves_the_first_alone(open_house: Open) -> None:
    async with open_house() as house:
        first = house.processes["shard_00"]
        await house.start("shard_00")
        assert await house.processes["shard_00"].wait() == ExitCode.TEMPORARY
        assert "a process of this name still runs here" in house.logs()
        assert first.returncode is None
        house.processes["shard_00"] = first


async def test_a_missing_wa_js_bundle_is_a_wrong_setting(open_house: Open, tmp_path: Path) -> None:
    async with open_house() as house:
        house._settings["WAJS_BUNDLE"] = str(tmp_path / "missing.js")
        await house.stop("shard_00")
        await house.start("shard_00")
        assert await house.processes["shard_00"].wait() == ExitCode.CONFIG
