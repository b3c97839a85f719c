"""Ends connections to PostgreSQL, and returns when both ends of each know it.

`pg_terminate_backend` only sends a signal. A test that uses the connection right after it would race with its end.
"""

from __future__ import annotations

from contextlib import closing

import psutil

from tests.harness import connect, gone
from tests.waiting import until

END = """
SELECT pid, client_port, pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name LIKE %s AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


def end_backends(database_url: str, application: str) -> int:
    """End the connections whose application name matches this LIKE pattern; returns their number."""
    with closing(connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(END, [application])
        ended = [(int(pid), int(port)) for pid, port, _ in cursor.fetchall()]
    pids, ports = {pid for pid, _ in ended}, {port for _, port in ended}
    until(lambda: all(map(gone, pids)) and not ports & _connected_ports(), what=f"{application} is disconnected")
    return len(ended)


def _connected_ports() -> set[int]:
    """The local ports of this machine's TCP connections whose other end is still open."""
    return {
        connection.laddr.port
        for connection in psutil.net_connections("tcp")
        if connection.laddr and connection.status == psutil.CONN_ESTABLISHED
    }
