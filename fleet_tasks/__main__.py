"""The console script ``fleet``, and ``python -m fleet_tasks``: Ctrl-C is quiet from the first moment on."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading


def main() -> None:
    """Loads the command line, which takes a moment in which people may change their mind, and starts it."""
    # Nearly all that a command makes it keeps until it ends: to look often for what may go costs a tenth of its start.
    gc.set_threshold(250_000, 20, 20)
    try:
        from fleet_tasks import loading

        loading.load_invoke()
        loading.defer_metadata()
        from fleet_tasks import program

        try:
            program.main()
        finally:
            # Here a full disk is one sentence; left to the interpreter's own end it would be a traceback. There is
            # no standard output at all where a caller closed it.
            if sys.stdout is not None:
                sys.stdout.flush()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except OSError as error:
        # The buffer still holds what could not be written: it goes nowhere, so that the end does not trip over it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(f"{error.strerror or error}.") from None
    finally:
        if threading.current_thread() is threading.main_thread():
            # The work is over: whoever cannot wait for the interpreter's end wants no traceback of it.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        # All of it goes with the process; to look for garbage in it first takes longer than listing devices does.
        gc.freeze()


if __name__ == "__main__":
    main()
