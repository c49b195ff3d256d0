"""What host and container have left, from files as the kernel writes them."""

import os
from pathlib import Path

import psutil
import pytest

from shards.admission import host as room
from shards.admission.host import Host, _MemoryV1, _MemoryV2

MB = 10**6


def group(directory: Path, **files: object) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name.replace("__", ".")).write_text(f"{content}\n")
    return directory


def test_this_host_is_read() -> None:
    host = Host()
    assert 0 < host.cpus <= (os.cpu_count() or 1)
    assert 0 < host.memory_bytes <= psutil.virtual_memory().total
    assert 0 <= host.available_bytes() <= host.memory_bytes
    assert 0 <= host.cpu_waited_share() <= 1
    assert host.load_per_cpu() >= 0


def test_a_limit_above_ours_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_MemoryV2, "root", tmp_path)
    stat = "anon 5\ninactive_file 40000000\nactive_file 7"
    group(tmp_path / "pod", memory__max=1000 * MB, memory__current=900 * MB, memory__stat=stat)
    group(tmp_path / "pod" / "box", memory__max="max", memory__current=5, memory__stat=stat)
    box, pod = _MemoryV2.above("/pod/box")
    assert (box.limit_bytes(), box.left_bytes()) == (None, None)
    assert (pod.limit_bytes(), pod.left_bytes()) == (1000 * MB, 140 * MB)


def test_a_container_over_its_limit_has_nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_MemoryV2, "root", tmp_path)
    group(tmp_path, memory__max=100, memory__current=200, memory__stat="inactive_file 10")
    (only,) = _MemoryV2.above("/")
    assert only.left_bytes() == 0


def test_version_one_has_other_names_and_a_huge_number_for_no_limit(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(_MemoryV1, "root", tmp_path)
    stat = "inactive_file 1\ntotal_inactive_file 30"
    group(tmp_path, memory__limit_in_bytes=9223372036854771712, memory__usage_in_bytes=1, memory__stat=stat)
    group(tmp_path / "box", memory__limit_in_bytes=100, memory__usage_in_bytes=90, memory__stat=stat)
    box, top = _MemoryV1.above("/box")
    assert (box.left_bytes(), top.left_bytes()) == (40, None)


def test_pressure_is_a_share_and_a_kernel_without_it_leaves_it_to_the_load(tmp_path: Path, monkeypatch) -> None:
    pressure = tmp_path / "cpu"
    pressure.write_text(
        "some avg10=96.53 avg60=0.44 avg300=2.01 total=4978948039\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    )
    monkeypatch.setattr(room, "_PRESSURE", pressure)
    assert Host().cpu_waited_share() == pytest.approx(0.9653)
    pressure.unlink()
    assert Host().cpu_waited_share() == 1.0


def test_pressure_lately_is_that_since_the_call_before_the_last_half_second(tmp_path: Path, monkeypatch) -> None:
    pressure, now_mono_s = tmp_path / "cpu", 100.0
    monkeypatch.setattr(room, "_PRESSURE", pressure)
    monkeypatch.setattr(room, "mono_s", lambda: now_mono_s)

    def at(seconds: float, waited_us: int) -> None:
        nonlocal now_mono_s
        now_mono_s = seconds
        pressure.write_text(f"some avg10=1.00 avg60=0.44 avg300=2.01 total={waited_us}\n")

    at(100.0, 1_000_000)
    host = Host()
    at(100.2, 1_100_000)
    assert host.cpu_waited_lately() == pytest.approx(0.5)
    at(100.6, 1_300_000)
    assert host.cpu_waited_lately() == pytest.approx(0.5)
    at(100.8, 1_300_000)
    assert host.cpu_waited_lately() == pytest.approx(0.2 / 0.6)  # since 100.2
    at(200.0, 1_300_000)
    assert host.cpu_waited_lately() == 0.01  # nobody asked for long: what the kernel says of ten seconds
    pressure.unlink()
    assert host.cpu_waited_lately() == 1.0


def test_a_quota_of_one_and_a_half_cpus_is_seen(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(room, "_CGROUP_ROOT", tmp_path)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    group(tmp_path / "box", cpu__max="150000 100000")
    assert room._quota_cpus("/box") == 1.5
    assert room._quota_cpus("/") == float("inf")
