"""What the server answers, as the OpenAPI page describes it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Problem(BaseModel):
    """What is wrong, and what can be done about it."""

    problem: str
    remedy: str


class Failure(BaseModel):
    """Body of every answer that is an error."""

    error: Problem


class Download(BaseModel):
    """A file to fetch."""

    title: str
    url: str
    bytes: int


class LegendEntry(BaseModel):
    """A class of a map."""

    code: int
    name: str
    color: str = Field(description="As `#rrggbb`.")


class Layer(BaseModel):
    """What may be shown of a map."""

    id: str = Field(description="In the addresses of tiles.")
    title: str
    kind: Literal["class", "share", "sky"] = Field(
        description="Colours of the legend, a ramp from 0 to 1, or what is flagged, to be laid over another layer."
    )


class ActivationLayer(Layer):
    """The activation of one class."""

    code: int


class MapDescription(BaseModel):
    """What the page needs to show a map."""

    id: str
    title: str
    file: str = Field(description="Name for people.")
    georeferenced: bool
    bounds: tuple[float, float, float, float] | None = Field(description="West, south, east, north, WGS 84 degrees.")
    width: int
    height: int
    pixel_m: float | None = Field(description="Side of a pixel; null where the map is not placed.")
    min_zoom: int
    max_zoom: int
    crs: str
    legend: list[LegendEntry]
    layers: list[ActivationLayer | Layer]
    base: bool = Field(description="Whether its scene lies beneath it.")
    facts: dict[str, str] = Field(description="Provenance, by name.")
    job: str | None = Field(description="Id of the job that made it; null when it was named at start.")


class MapAnswer(MapDescription):
    """A map and its files."""

    downloads: list[Download]


class PatchAnswer(BaseModel):
    """What a model says of a patch."""

    model_config = ConfigDict(populate_by_name=True)

    kind: Literal["patch"] = "patch"
    job: str = Field(description="Id under which it may be explained and removed.")
    name: str
    class_: str = Field(alias="class", description="The most probable class.")
    confidence: float = Field(description="Its calibrated probability.")
    probabilities: dict[str, float] = Field(description="Of every class, the most probable first.")
    ood_score: float | None = Field(
        default=None, description="Out-of-distribution score, above 1 unlike the training patches; null when not known."
    )
    notes: list[str] = Field(description="What makes the patch unlike those that the model was trained on.")
    picture: str = Field(description="Address of the patch as a PNG.")
    georeferenced: bool


class JobStarted(BaseModel):
    """A job that was put into the queue."""

    kind: Literal["scene", "report"]
    job: str = Field(description="Id, known only to who asked.")
    status: str = Field(description="Address of its state.")
    events: str = Field(description="Address of its state as server-sent events.")


class JobState(BaseModel):
    """How far a job is."""

    id: str
    kind: Literal["scene", "patch", "report"]
    name: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    ahead: int = Field(description="Jobs before it, while it is queued.")
    stage: str
    done: int = Field(description="Pixels of the stage that are done.")
    total: int = Field(description="Of how many; 0 when that is not known.")
    seconds: float
    warnings: list[str]
    error: Problem | None
    map: str | None = Field(description="Id of the map of a scene that is done.")
    answer: PatchAnswer | None
    downloads: list[Download]


class WhatToExplain(BaseModel):
    """A place of a scene, by longitude and latitude or by row and column, and a class; both may be left out for a patch."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    lon: float | None = Field(default=None, ge=-180, le=180)
    lat: float | None = Field(default=None, ge=-90, le=90)
    row: int | None = Field(default=None, ge=0)
    col: int | None = Field(default=None, ge=0)
    class_: str | None = Field(
        default=None, alias="class", max_length=200, description="The class given there, unless named."
    )


class ExplanationAnswer(BaseModel):
    """Which pixels spoke for a class: Grad-CAM of a patch, Seg-Grad-CAM of a region of a scene."""

    model_config = ConfigDict(populate_by_name=True)

    title: str
    subtitle: str
    class_: str = Field(alias="class")
    notes: list[str]
    details: dict[str, Any]
    picture: str = Field(description="Address of the picture: input beside heat.")
    picture_alt: str
    tiles: str | None = Field(description="Address of map tiles of the heat, for a scene.")
    bounds: tuple[float, float, float, float] | None
    downloads: list[Download]
