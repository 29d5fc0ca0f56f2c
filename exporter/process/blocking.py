"""Block signals until there is a thread that takes them."""

import signal

STOPPING = frozenset({signal.SIGTERM, signal.SIGINT})
TAKEN = STOPPING | {signal.SIGHUP}


def block_signals() -> None:
    """Block SIGTERM, SIGINT and SIGHUP in this thread and in those that it starts.

    The kernel keeps one of each kind, also for process 1, which has no default action.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, TAKEN)
