"""Real processes that start at the same moment."""

from __future__ import annotations

import multiprocessing


def in_processes(count, work, *args):
    """Run ``work`` in so many processes that start together; what each put into the queue."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["monitor.store", "monitor.wiring", "psycopg", "alembic.command"])
    barrier, results = context.Barrier(count), context.Queue()
    processes = [context.Process(target=work, args=(*args, barrier, n, results)) for n in range(count)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    return found
