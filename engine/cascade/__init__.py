"""Cascades: YAML graphs of rules, models and history, read, put in order, checked, and linked into a plan."""
