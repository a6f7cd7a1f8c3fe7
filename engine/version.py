"""Two versions that move apart: the package's, and that of the rule language, which changes when a rule would mean something else."""

VERSION = "0.1.0"
LANGUAGE_VERSION = "0.1"
