"""What every section of a configuration is."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

Kind = str | dict[str, Any]
"""A shelf entry: its kind, or ``{"kind": ..., option: value}``."""


class Section(BaseModel):
    """Common rules: no unknown keys, no changes after loading, either the name or its alias.

    The text below a field, or its description, is its meaning in the configuration reference.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, protected_namespaces=())
