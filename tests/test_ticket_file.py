"""File tickets: one key, one file, written whole."""

from __future__ import annotations

import errno
import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitor.errors import PublishError
from monitor.tickets.file import FileTickets
from monitor.values import Draft, Window

WINDOW = Window(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 12, tzinfo=UTC))


def draft(key="0123456789abcdef", body="Body\n\n| a | b |") -> Draft:
    return Draft(key, "support", "support: content drift since 2026-01-05", body, WINDOW)


def test_the_ticket_is_a_markdown_file_with_its_key(tmp_path):
    where = FileTickets(str(tmp_path / "new" / "tickets")).open(draft())
    assert where == str(tmp_path / "new" / "tickets" / "2026-01-05-support-0123456789ab.md")
    assert Path(where).read_text() == (
        "# support: content drift since 2026-01-05\n\nBody\n\n| a | b |\n\n<!-- drift-monitor ticket 0123456789abcdef -->\n"
    )


def test_the_report_lies_beside_it_and_is_linked(tmp_path):
    where = Path(FileTickets(str(tmp_path)).open(replace(draft(), report="<!doctype html>é")))
    assert where.with_suffix(".html").read_text(encoding="utf-8") == "<!doctype html>é"
    assert f"]({where.with_suffix('.html').name})" in where.read_text()


def test_a_repeat_finds_it_and_keeps_what_people_wrote(tmp_path):
    tickets = FileTickets(str(tmp_path))
    where = Path(tickets.open(draft()))
    where.write_text(where.read_text() + "looked at it, Kim\n")
    assert tickets.open(draft(body="another")) == str(where)
    assert where.read_text().endswith("looked at it, Kim\n")
    assert list(tmp_path.iterdir()) == [where]


def test_a_renamed_ticket_is_still_found(tmp_path):
    tickets = FileTickets(str(tmp_path))
    where = Path(tickets.open(draft()))
    moved = where.rename(tmp_path / "done-0123456789ab.md")
    assert tickets.open(draft()) == str(moved)


def test_two_keys_are_two_tickets(tmp_path):
    tickets = FileTickets(str(tmp_path))
    assert tickets.open(draft()) != tickets.open(draft(key="fedcba9876543210"))


def test_a_folder_that_is_a_file_is_a_permanent_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        PublishError, match=r"ticket cannot be written to folder .*file.*make room, or correct the folder"
    ) as caught:
        FileTickets(str(tmp_path / "file")).open(draft())
    assert caught.value.permanent


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_disk_leaves_nothing_half_written_and_can_be_tried_again(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", tmp_path], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this system does not let tests mount")
    try:
        with pytest.raises(PublishError) as caught:
            FileTickets(str(tmp_path)).open(draft(body="x" * 100_000))
        assert not caught.value.permanent
        assert caught.value.__cause__.errno == errno.ENOSPC
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_keys_that_begin_alike_are_two_tickets(tmp_path):
    tickets = FileTickets(str(tmp_path))
    first = tickets.open(draft())
    second = tickets.open(draft(key="0123456789abcdef0"))
    assert second == str(tmp_path / "2026-01-05-support-0123456789abcdef0.md")
    assert (tickets.open(draft()), tickets.open(draft(key="0123456789abcdef0"))) == (first, second)
