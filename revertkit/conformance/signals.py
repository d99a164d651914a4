"""What ends a run early, beside Ctrl-C: a time limit, and a terminal or a connection that is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a run as Ctrl-C does: its shares would stay on the backend.

    One that the program ignores, as below nohup(1), or handles, stays as it is; so does all in a thread other than the
    main one, where Python takes no handler.
    """
    in_main = threading.current_thread() is threading.main_thread()
    deadly = [one for one in (signal.SIGTERM, signal.SIGHUP) if in_main and signal.getsignal(one) is signal.SIG_DFL]
    for one in deadly:
        signal.signal(one, signal.default_int_handler)
    try:
        yield
    finally:
        for one in deadly:
            signal.signal(one, signal.SIG_DFL)
