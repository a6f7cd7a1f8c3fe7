"""Names that resemble one another: how a name is spelt for comparison, how alike two are, and a list that is searched without loss.

What stands here is part of what a decision means: `engine.screening.names.METHOD` names it, and every decision that used it records it.
"""
