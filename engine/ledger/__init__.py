"""What was decided: the decision itself, and the log that keeps it."""
