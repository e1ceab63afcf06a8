"""The command line: ``python -m quantlab experiment=ensemble_v2``, and the ``quantlab`` script.

Help, version and slips of typing are answered at once. Everything else is loaded when it is needed, and Ctrl-C ends
also a process that is still loading without a traceback.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from typing import Any

from quantlab.core.redaction import hide_named
from quantlab.jobs.config.typed_words import answer_words

#: Exit code after Ctrl-C, as shells count it.
_INTERRUPTED = 130


def main() -> None:
    """Entry point of ``python -m quantlab`` and of the ``quantlab`` script.

    Raises
    ------
    SystemExit
        With the code of anything but a success.
    """
    _stop_silently_while_loading()
    answer = answer_words(sys.argv[1:])
    if answer is not None:
        if answer.code:
            sys.stderr.write(hide_named(answer.text))
            sys.exit(answer.code)
        sys.stdout.write(answer.text)
        return
    # Hydra and the configuration's reader take a third of a second: not for an answer, and not before Ctrl-C is heard.
    command_line = importlib.import_module("quantlab.jobs.command_line")
    try:
        if signal.getsignal(signal.SIGINT) is _stop:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        command_line.run_command_line()
    except KeyboardInterrupt:
        sys.stderr.write("quantlab: stopped\n")
        sys.exit(_INTERRUPTED)


def _stop_silently_while_loading() -> None:
    """Let Ctrl-C end the process at once: an import that is cut off would print where it was."""
    listens = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a process in the background ignores it
    if listens and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _stop)


def _stop(*_: Any) -> None:
    os.write(sys.stderr.fileno(), b"quantlab: stopped\n")
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
