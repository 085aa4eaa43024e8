"""Where the predictions of the old and the refreshed model are read, to hold them against each other."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from monitor.settings.model import Model
from monitor.settings.parts import Part, PartOf

__all__ = ["RefreshSettings"]


class RefreshSettings(Model):
    """What ``refresh verify`` reads."""

    predictions: list[Annotated[Part, PartOf("sources")]] = Field(
        [],
        description="predictions of models, each by its name: refresh verify reads old and new unless told otherwise",
    )
    trained_on: Annotated[Part | None, PartOf("sources")] = Field(
        None, description="what the new model learnt from: records with these ids prove nothing and are left out"
    )
    id: str = Field("id", description="column of the record's id, in all of these")
    predicted: str = Field("predicted", description="column of the predicted class")
