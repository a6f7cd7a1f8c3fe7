"""The command ``engine``, also as ``python -m engine``. Loading it takes a moment, in which Ctrl-C may come already."""

import sys

try:
    from engine.cli.main import main
except KeyboardInterrupt:
    print("engine: stopped", file=sys.stderr)
    sys.exit(130)

if __name__ == "__main__":
    sys.exit(main())
