"""Two versions that move apart: the package's, and that of the rule language, which changes when a rule would mean something else."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
LANGUAGE_VERSION: Final = "0.1"
