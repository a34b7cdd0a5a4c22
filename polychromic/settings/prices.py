"""What an hour of the machine costs: a setting, or the environment of the machine that is rented."""

from __future__ import annotations

import os

from polychromic.core.errors import InputError

PRICE = "POLYCHROMIC_PRICE_PER_HOUR"


def price_per_hour(given: float | None = None) -> float | None:
    """Dollars an hour of one device: ``given``, else the environment's; None when nobody says.

    Raises:
        InputError: the environment holds no number of at least 0.
    """
    if given is not None:
        return given
    written = os.environ.get(PRICE)
    if not written:
        return None
    try:
        price = float(written)
    except ValueError:
        price = -1.0
    if not 0 <= price < float("inf"):
        raise InputError(f"{PRICE}: must be a number of dollars, got {written[:20]!r}")
    return price
