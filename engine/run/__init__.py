"""Data through a plan: reading files, one event, many events, writing results. It must not know how steps are built."""
