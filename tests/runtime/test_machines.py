"""The first minute on many machines: what they do not have or do not share is said at once."""

import os
import threading
import time

import pytest

from runtime.errors import UserError
from runtime.machines import check_addresses, check_gpus, check_shared, dealt, main


def looked(folders, wait_s=0.5):
    """What each machine says, which has one of these folders for its own."""
    said = [None] * len(folders)

    def look(number):
        try:
            names = check_shared(folders[number], "a/run", number, len(folders), wait_s)
            assert names == [os.uname().nodename] * len(folders)
        except UserError as error:
            said[number] = (error.found, error.fix)

    threads = [threading.Thread(target=look, args=(number,)) for number in range(len(folders))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


def test_machines_that_share_a_folder_see_each_other(tmp_path):
    assert looked([tmp_path] * 3, wait_s=20) == [None] * 3
    assert looked([tmp_path] * 3, wait_s=20) == [None] * 3, "a second time"


def test_machines_that_do_not_share_it_say_so_and_leave_nothing(tmp_path):
    folders = [tmp_path / "one/runs", tmp_path / "other/runs"]
    for _ in range(2):
        for number, (found, fix) in enumerate(looked(folders)):
            assert found.startswith(f"machine {number} of 2 ")
            assert found.endswith(f"runs what machine {1 - number} wrote there")
            assert "share" in fix
            assert list((folders[number] / ".machines").iterdir()) == []


def test_old_marks_are_cleared_away(tmp_path):
    looked([tmp_path] * 2, wait_s=20)
    long_ago = time.time() - 48 * 3600
    for mark in (tmp_path / ".machines").iterdir():
        os.utime(mark, (long_ago, long_ago))
    (tmp_path / ".machines/other.0").touch()
    with pytest.raises(UserError):
        check_shared(tmp_path, "later", 0, 2, 0.1)
    assert [mark.name for mark in (tmp_path / ".machines").iterdir()] == ["other.0"]


def test_fewer_gpus_than_expected_are_told(monkeypatch):
    import torch

    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    with pytest.raises(UserError, match="has 0 GPUs that torch can use, expected 8"):
        check_gpus(8)
    words = ["--gpus", "8", "train.py"]
    with pytest.raises(UserError):
        main(words, {"LOCAL_RANK": "0"})
    assert main(words, {"LOCAL_RANK": "1"}) == ["train.py"], "one of each machine looks"
    assert main(["--gpus", "0", *words[2:]], {}) == ["train.py"]


def test_a_setting_for_all_is_dealt_to_the_processes():
    assert dealt(["accumulate=12", "workers=4"], 4) == ["--accumulate", "3", "--workers", "1"]
    words = ["--deal", "accumulate=12", "train.py", "--steps", "5"]
    assert main(words, {"WORLD_SIZE": "3"}) == [*words[2:], "--accumulate", "4"]
    with pytest.raises(UserError, match="12 for --accumulate cannot be dealt to 5 processes"):
        dealt(["accumulate=12"], 5)


def test_without_a_program_nothing_is_started():
    with pytest.raises(UserError, match="no program to start"):
        main(["--gpus", "8"], {})


def test_where_the_others_would_look_in_vain_is_said(monkeypatch):
    own, known = os.uname().nodename, {"far": "10.0.0.2"}

    def look(name, port):
        if name not in known:
            raise OSError
        return [(2, 1, 6, "", (known[name], 0))]

    monkeypatch.setattr("socket.getaddrinfo", look)
    check_addresses([own, own], {"MASTER_ADDR": "unknown"})  # all of them are this one
    with pytest.raises(UserError, match=f"{own} does not know near, where the processes meet"):
        check_addresses([own, "far"], {"MASTER_ADDR": "near"})
    for known[own] in ("127.0.1.1", "::1"):
        with pytest.raises(UserError, match=f"to itself {own} is {known[own]}, where"):
            check_addresses([own, "far"], {"MASTER_ADDR": "far"})
    check_addresses([own, "far"], {"MASTER_ADDR": "far", "GLOO_SOCKET_IFNAME": "eth0"})
    for known[own] in ("10.0.0.1", "fe80::1%eth0"):
        check_addresses([own, "far"], {"MASTER_ADDR": "far"})
    del known[own]
    with pytest.raises(UserError, match=f"to itself {own} is nowhere, where"):
        check_addresses([own, "far"], {"MASTER_ADDR": "far"})
