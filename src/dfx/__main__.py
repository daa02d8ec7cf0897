"""The command line program `dfx`: `dfx COMMAND` does the same as `python -m dfx.COMMAND`."""

from __future__ import annotations

import runpy
import sys

from dfx.cli.prompt import first_comment
from dfx.config.schema import CONF_DIR


def main() -> None:
    """Run the named command with the arguments that follow."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    commands = {path.stem: first_comment(path) for path in sorted(CONF_DIR.glob("*.yaml"))}
    if name not in commands:
        listed = "\n".join(f"  {command:<10} {meaning}" for command, meaning in commands.items())
        text = f"dfx COMMAND [ARGUMENTS]; dfx COMMAND --help tells more.\n\n{listed}\n"
        if name in ("", "-h", "--help"):
            sys.stdout.write(text)
            return
        raise SystemExit(f"dfx: there is no command {name!r}.\n\n{text}")
    del sys.argv[1]
    # As `python -m dfx.<command>` does it, so that Lightning can start the same for further devices.
    runpy.run_module(f"dfx.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
