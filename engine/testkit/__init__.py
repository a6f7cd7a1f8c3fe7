"""Checks for those who write steps of their own: the law that the engine's steps keep, as a function."""

from engine.testkit.steps import check_step

__all__ = ["check_step"]
