"""Slots of the host are locks of the kernel: shared by all that look into the directory, and never left behind."""

import os
from pathlib import Path

import pytest

from shards.admission import host_slots
from shards.admission.host_slots import HostSlots


@pytest.fixture
def slots(tmp_path: Path) -> HostSlots:
    return HostSlots(tmp_path / "starts", stuck_after_s=60)


def test_no_more_than_allowed_are_taken(slots: HostSlots) -> None:
    first, second = slots.take(2), slots.take(2)
    assert first and second and slots.take(2) is None
    assert slots.under_way() == 2
    first.leave()
    assert slots.under_way() == 1
    third = slots.take(2)
    assert third is not None
    third.leave()
    second.leave()
    assert slots.under_way() == 0


def test_none_is_taken_while_more_are_under_way_than_allowed_now(slots: HostSlots) -> None:
    held = [slots.take(3) for _ in range(3)]
    assert held[0] is not None
    held[0].leave()
    assert slots.take(1) is None
    assert slots.take(0) is None


def test_leaving_twice_closes_nothing_of_others(slots: HostSlots) -> None:
    slot = slots.take(1)
    assert slot is not None
    slot.leave()
    reused = os.open("/dev/null", os.O_RDONLY)
    slot.leave()
    os.fstat(reused)
    os.close(reused)


def test_a_child_process_does_not_inherit_a_slot(slots: HostSlots) -> None:
    slot = slots.take(1)
    assert slot is not None
    assert not os.get_inheritable(slot.descriptor)
    slot.leave()


def test_a_slot_held_for_too_long_does_not_keep_others_from_starting(slots: HostSlots, monkeypatch) -> None:
    now_s = host_slots.boot_s()
    stuck = slots.take(1)
    assert stuck is not None and slots.take(1) is None
    monkeypatch.setattr(host_slots, "boot_s", lambda: now_s + 61)
    another = slots.take(1)
    assert another is not None and slots.under_way() == 1
    assert slots.take(1) is None
    another.leave()
    stuck.leave()


def test_a_slot_whose_file_says_nothing_yet_counts(slots: HostSlots, tmp_path: Path) -> None:
    slot = slots.take(1)
    assert slot is not None
    os.ftruncate(slot.descriptor, 0)
    assert slots.under_way() == 1 and slots.take(1) is None
    slot.leave()


def test_the_newest_start_is_known_to_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = (HostSlots(tmp_path / "starts", stuck_after_s=60) for _ in range(2))
    assert there.newest_s() == float("inf")
    older = here.take(2)
    now_s = host_slots.boot_s()
    monkeypatch.setattr(host_slots, "boot_s", lambda: now_s + 10)
    assert 9.9 < there.newest_s() < 11
    newer = here.take(2)
    assert there.newest_s() < 1
    assert older is not None and newer is not None
    newer.leave()
    assert 9.9 < there.newest_s() < 11
    older.leave()
