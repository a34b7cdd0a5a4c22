"""The program: runs a verb and turns every expected error into one line and an exit status."""

from __future__ import annotations

from polychromic.cli import commands


def main() -> None:
    """Runs the command line."""
    commands()


if __name__ == "__main__":
    main()
