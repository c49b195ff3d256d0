"""When what is stored."""

from shards.backup.policy import BackupClock, BackupPlan, Calm, Outage, plan_backup


def plan(clock: BackupClock, now_mono_s: float, fingerprint: str = "b", archives: bool = True) -> BackupPlan:
    return plan_backup(
        clock,
        now_mono_s=now_mono_s,
        fingerprint=fingerprint,
        hot_copy_interval_s=30,
        archive_interval_s=600,
        archives_enabled=archives,
    )


STORED = BackupClock(hot_copy_mono_s=100, archive_mono_s=100, fingerprint="a", archive_fingerprint="a")


def test_the_first_look_stores_both() -> None:
    assert plan(BackupClock(), 0) == BackupPlan(hot_copy=True, archive=True)


def test_nothing_is_stored_again_while_nothing_changed() -> None:
    assert not plan(STORED, 10_000, fingerprint="a")


def test_each_kind_waits_for_its_own_interval() -> None:
    assert plan(STORED, 129) == BackupPlan(hot_copy=False, archive=False)
    assert plan(STORED, 130) == BackupPlan(hot_copy=True, archive=False)
    assert plan(STORED, 700) == BackupPlan(hot_copy=True, archive=True)


def test_archives_can_be_switched_off() -> None:
    assert plan(BackupClock(), 0, archives=False) == BackupPlan(hot_copy=True, archive=False)


def test_an_archive_refreshes_the_hot_copy_too_so_that_redis_has_the_newest() -> None:
    clock = BackupClock(hot_copy_mono_s=699, archive_mono_s=100, fingerprint="b", archive_fingerprint="a")
    assert plan(clock, 700) == BackupPlan(hot_copy=True, archive=True)


def test_after_failures_in_a_row_the_pause_grows_to_a_minute() -> None:
    outage, pauses = Outage(), []
    for _ in range(8):
        outage = outage.longer(100)
        pauses.append(outage.retry_mono_s - 100)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert not outage.over(159.9) and outage.over(160)
    assert Outage().over(0)


def test_looks_become_seldom_once_nothing_has_happened_for_a_while_and_the_hot_copy_has_it_all() -> None:
    calm = Calm(since_mono_s=0).seen("a", 100, stirred=False)
    assert calm.seen("a", 105, stirred=False) == calm
    assert not calm.lasts(109.9, STORED) and calm.lasts(110, STORED)
    assert not calm.lasts(1000, BackupClock(hot_copy_mono_s=100, fingerprint="older"))


def test_a_change_of_the_files_and_a_word_of_the_page_each_end_the_calm() -> None:
    calm = Calm(since_mono_s=100, fingerprint="a")
    assert not calm.seen("a", 200, stirred=True).lasts(209, STORED)
    assert not calm.seen("b", 200, stirred=False).lasts(209, BackupClock(fingerprint="b"))
