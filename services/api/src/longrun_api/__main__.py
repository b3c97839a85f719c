"""`python -m longrun_api`: see `command`."""

from __future__ import annotations

import gc


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    # nearly all that a start makes stays: to look for garbage in it would take a sixth of the start
    gc.disable()
    from longrun_api import command

    command.main()


if __name__ == "__main__":
    main()
