"""What holds for every test."""

from __future__ import annotations

import signal

# whoever runs the tests in the background may have switched Ctrl-C off, and what they start would not hear it either
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
