"""A round of sending: a service that gives no answer is asked once, and what goes elsewhere does not wait for it."""

from __future__ import annotations

import socket
import threading

from shop import desk, open_shop, window

from monitor.pipeline import publish_pending, run_window
from monitor.store import DeliveryStatus


class Deaf:
    """Takes every connection, reads the request, and never says a word."""

    def __init__(self):
        self.asked = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._open = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(connection)
            self.asked.append(connection.recv(4096).split()[1].decode())

    def close(self):
        for connection in self._open:
            connection.close()
        self._socket.close()


def test_who_gives_no_answer_is_asked_once_a_round(tmp_path):
    deaf = Deaf()
    (tmp_path / "token").write_text("t")
    github = {
        "kind": "github",
        "url": f"http://127.0.0.1:{deaf.port}",
        "token_file": str(tmp_path / "token"),
        "timeout": 0.5,
    }
    tickets = [github | {"name": name, "repository": f"team/{name}"} for name in ("one", "two", "three")]
    _, store, monitor = open_shop(tmp_path, tickets=[*tickets, {"kind": "file", "folder": f"{tmp_path}/tickets"}])
    run_window(monitor, window(2), desk(store))
    publish_pending({"shop": monitor}, desk(store))
    found = {one.destination: one for one in store.tickets()}
    assert found["file"].status is DeliveryStatus.SENT
    left = [found[name] for name in ("one", "two", "three")]
    assert {one.status for one in left} == {DeliveryStatus.PENDING}
    assert len({one.error for one in left}) == 1, "the first one's word stands for all"
    assert len({name for name in ("one", "two", "three") if any(name in path for path in deaf.asked)}) == 1
    store.close()
    deaf.close()
