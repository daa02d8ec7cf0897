"""`dfx <command>` is `python -m dfx.<command>`."""

from __future__ import annotations

import runpy
import sys

COMMANDS = {
    "train": "train a detector, choose it on dev, measure it once on eval",
    "evaluate": "score any corpus with any detector, or judge the score files of others",
    "report": "make the table and the pictures of a comparison from the runs of a sweep",
    "audit": "look at a corpus before training: is it whole, does it leak, what could be cheated with",
    "download": "fetch a corpus whose address and checksum are published",
    "prepare": "make once what runs of a corpus need, whole or a shard of it",
}


def main() -> None:
    """Run the named command with the arguments that follow."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        listed = "\n".join(f"  {command:<10} {meaning}" for command, meaning in COMMANDS.items())
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
