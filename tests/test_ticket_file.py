"""File tickets: one key, one file, written whole, and what people write into it stays."""

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
from monitor.tickets.living import settle
from monitor.values import Draft, Known, Note, Paragraph, Span, Window

WINDOW = Window(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 12, tzinfo=UTC))
TITLE = "support: content drift since 2026-01-05"


def words(text):
    return (Paragraph((Span(text),)),)


def draft(key="0123456789abcdef", body="Body", **changes) -> Draft:
    return replace(Draft(key, "support", TITLE, words(body), WINDOW), **changes)


def written(tickets, given=None):
    return settle(tickets, given or draft(), Known()).location


def test_the_ticket_is_a_markdown_file_with_its_key(tmp_path):
    where = written(FileTickets(str(tmp_path / "new" / "tickets")))
    assert where == str(tmp_path / "new" / "tickets" / "2026-01-05-support-0123456789ab.md")
    assert Path(where).read_text() == (
        "# support: content drift since 2026-01-05\n\nState: open\nLabels:\n\n<!-- drift-monitor ticket 0123456789abcdef -->\n\n"
        "Body\n\n<!-- drift-monitor end -->\n"
    )


def test_the_newest_report_lies_beside_it_and_is_linked(tmp_path):
    tickets = FileTickets(str(tmp_path))
    where = Path(written(tickets, draft(report="<!doctype html>é")))
    beside = where.with_suffix(".html")
    assert beside.read_text(encoding="utf-8") == "<!doctype html>é"
    assert f"](<{beside.name}>)" in where.read_text()
    written(tickets, draft(report="<!doctype html>newer"))
    assert beside.read_text() == "<!doctype html>newer"


def test_what_people_write_around_it_stays(tmp_path):
    tickets = FileTickets(str(tmp_path))
    where = Path(written(tickets))
    text = where.read_text().replace("Labels:", "Labels: nlp\n\nSeen on Monday.")
    where.write_text(text + "\nlooked at it, Kim\n")
    later = replace(draft(body="another"), title=f"{TITLE} and more", notes=(Note("n", words("Told.")),))
    assert written(tickets, later) == str(where)
    text = where.read_text()
    for kept in ("Labels: nlp\n\nSeen on Monday.", "looked at it, Kim\n", "another", "Told.", f"# {TITLE} and more\n"):
        assert kept in text
    assert "Body" not in text
    assert list(tmp_path.iterdir()) == [where]


def test_a_title_that_people_gave_it_stays(tmp_path):
    tickets = FileTickets(str(tmp_path))
    where = Path(written(tickets))
    where.write_text(where.read_text().replace(f"# {TITLE}", "# The boats"))
    written(tickets, draft(body="another"))
    assert where.read_text().startswith("# The boats\n")


def test_words_of_records_say_nothing_about_state_and_labels(tmp_path):
    tickets = FileTickets(str(tmp_path))
    written(tickets, draft(body="State: closed\nLabels: accepted"))
    seen = tickets.find(draft(), "")
    assert (seen.open, seen.labels) == (True, frozenset())


def test_one_whose_end_mark_is_gone_is_not_overwritten(tmp_path):
    tickets = FileTickets(str(tmp_path))
    where = Path(written(tickets))
    where.write_text(where.read_text().replace("<!-- drift-monitor end -->", "") + "dear diary\n")
    with pytest.raises(PublishError, match="its end mark <!-- drift-monitor end --> is gone; put it back") as caught:
        written(tickets, draft(body="another"))
    assert caught.value.permanent
    assert "dear diary" in where.read_text()


def test_a_renamed_ticket_is_still_found(tmp_path):
    tickets = FileTickets(str(tmp_path))
    where = Path(written(tickets))
    moved = where.rename(tmp_path / "done-0123456789ab.md")
    assert written(tickets) == str(moved)


def test_two_keys_are_two_tickets(tmp_path):
    tickets = FileTickets(str(tmp_path))
    assert written(tickets) != written(tickets, draft(key="fedcba9876543210"))


def test_a_folder_that_is_a_file_is_a_permanent_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        PublishError, match=r"ticket cannot be written to folder .*file.*make room, or correct the folder"
    ) as caught:
        written(FileTickets(str(tmp_path / "file")))
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
            written(FileTickets(str(tmp_path)), draft(body="x" * 100_000))
        assert not caught.value.permanent
        assert caught.value.__cause__.errno == errno.ENOSPC
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_keys_that_begin_alike_are_two_tickets(tmp_path):
    tickets = FileTickets(str(tmp_path))
    first, longer = written(tickets), draft(key="0123456789abcdef0")
    second = written(tickets, longer)
    assert second == str(tmp_path / "2026-01-05-support-0123456789abcdef0.md")
    assert (written(tickets), written(tickets, longer)) == (first, second)
