"""The house style of panels: what each kind looks like, so that the dashboards only say what they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grafana_foundation_sdk.builders import (
    barchart,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    GridPos,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from queries import CODE, STATES

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "PAGES",
    "RED",
    "SOURCE",
    "STATE_TEXTS",
    "YELLOW",
    "Column",
    "Query",
    "at_one",
    "band",
    "bar_chart",
    "dashed",
    "lines",
    "names",
    "number",
    "painted",
    "rows_of",
    "thresholds",
    "timeline",
]

GREEN, YELLOW, BLUE, RED, GREY = "green", "yellow", "blue", "red", STATES["insufficient"]
SOURCE = looks.DataSourceRef(type_val="prometheus", uid="${datasource}")
MONITOR = "/d/drift-monitor-monitor?var-datasource=${datasource}&var-monitor=${__value.text}&${__url_time_range}"
PAGES = "${pages}/"


@dataclass(frozen=True)
class Query:
    """One query; ``legend`` names its series. In tables every query is instant."""

    expr: str
    legend: str = ""

    def target(self, number: int, *, instant: bool, as_table: bool) -> prometheus.Dataquery:
        """The query of this place in its panel."""
        made = prometheus.Dataquery().datasource(SOURCE).expr(self.expr).ref_id("ABCDEFGHIJKLMNOP"[number])
        made = made.format(PromQueryFormat.TABLE if as_table else PromQueryFormat.TIME_SERIES)
        made = made.instant() if instant else made.range()
        return made.legend_format(self.legend) if self.legend else made


@dataclass(frozen=True)
class Column:
    """One column of a table: the field it comes from, its heading, and how it is drawn."""

    source: str
    title: str
    unit: str = ""
    width: int = 0
    looks: Mapping[str, Any] = field(default_factory=dict)

    def properties(self) -> list[DynamicConfigValue]:
        """How this column differs from the others of its table."""
        given = {
            "unit": self.unit,
            "custom.width": self.width,
            "noValue": "-",
        }
        made = {name: value for name, value in given.items() if value}
        return [DynamicConfigValue(name, value) for name, value in {**made, **self.looks}.items()]


def names(title: str = "Monitor", width: int = 0) -> Column:
    """The column that names monitors and leads to them."""
    link = {"title": "Open this monitor", "url": MONITOR}
    return Column("monitor", title, width=width, looks={"links": [link]})


def painted(mapping: Mapping[str, tuple[str, str]]) -> list[Any]:
    """A value mapping: number to text and colour."""
    options = {
        value: ValueMappingResult(text, color, index=n) for n, (value, (text, color)) in enumerate(mapping.items())
    }
    return [ValueMap(options=options)]


STATE_TEXTS = painted({str(number): (state, STATES[state]) for state, number in CODE.items()})


def thresholds(*steps: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    """Colours from these values on, the first from below all."""
    made = [Threshold(value=value, color=color) for value, color in steps]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(made)


def at_one(below: str = GREEN, above: str = RED) -> dashboard.ThresholdsConfig:
    """For ratios to a limit that is itself a metric: over 1 is over the limit."""
    return thresholds((None, below), (1.0, above))


def _described(panel: Any, title: str, told: str, unit: str, empty: str, width: int, height: int) -> Any:
    return (
        panel.title(title)
        .description(told)
        .datasource(SOURCE)
        .unit(unit)
        .no_value(empty)
        .grid_pos(GridPos(h=height, w=width, x=0, y=0))
    )


def _asked(panel: Any, queries: Sequence[Query], *, instant: bool = False, as_table: bool = False) -> Any:
    return panel.targets([one.target(n, instant=instant, as_table=as_table) for n, one in enumerate(queries)])


def _fixed(color: str) -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(FieldColorModeId.FIXED).fixed_color(color)


def number(
    title: str,
    told: str,
    unit: str,
    *queries: Query,
    empty: str,
    width: int = 4,
    height: int = 4,
    steps: dashboard.ThresholdsConfig | None = None,
    mappings: Sequence[Any] = (),
    decimals: int | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    fill: bool = False,
    named: bool = False,
) -> stat.Panel:
    """Large numbers of this moment."""
    made = _asked(_described(stat.Panel(), title, told, unit, empty, width, height), queries, instant=True)
    made = made.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    made = made.graph_mode(looks.BigValueGraphMode.NONE)
    made = made.color_mode(looks.BigValueColorMode.BACKGROUND if fill else looks.BigValueColorMode.VALUE)
    made = made.thresholds(steps or thresholds((None, "text")))
    made = made.text_mode(looks.BigValueTextMode.VALUE_AND_NAME if named else looks.BigValueTextMode.AUTO)
    made = made.mappings(list(mappings)) if mappings else made
    made = made.decimals(decimals) if decimals is not None else made
    return _overridden(made, overrides or {})


def lines(
    title: str,
    told: str,
    unit: str,
    *queries: Query,
    empty: str,
    width: int = 12,
    height: int = 8,
    log: bool = False,
    stacked: bool = False,
    bars: bool = False,
    steps: dashboard.ThresholdsConfig | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    minimum: float | None = 0,
    at_least: float | None = None,
    legend_at: looks.LegendPlacement = looks.LegendPlacement.BOTTOM,
) -> timeseries.Panel:
    """Series over time. A value holds until the next run, so lines are steps. The axis reaches ``at_least`` so far."""
    made = _asked(_described(timeseries.Panel(), title, told, unit, empty, width, height), queries)
    made = made.draw_style(looks.GraphDrawStyle.BARS if bars else looks.GraphDrawStyle.LINE)
    made = made.line_interpolation(looks.LineInterpolation.STEP_AFTER).line_width(1 if bars or stacked else 2)
    made = made.show_points(looks.VisibilityMode.NEVER).fill_opacity(60 if bars else 60 if stacked else 0)
    made = made.tooltip(
        common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING)
    )
    legend = common.VizLegendOptions().display_mode(looks.LegendDisplayMode.LIST)
    made = made.legend(legend.placement(legend_at).show_legend(True))
    if log:
        made = made.scale_distribution(common.ScaleDistributionConfig().type(looks.ScaleDistribution.LOG).log(10))
        made = made.axis_grid_show(False)
    elif minimum is not None:
        made = made.min(minimum)
    if bars:
        # Few and wide: $__rate_interval follows, so each event still counts once.
        made = made.max_data_points(60)
    if at_least is not None:
        made = made.axis_soft_max(at_least)
    if stacked:
        made = made.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL).group("A"))
    if steps is not None:
        style = common.GraphThresholdsStyleConfig().mode(looks.GraphThresholdsStyleMode.LINE)
        made = made.thresholds(steps).thresholds_style(style)
    return _overridden(made, overrides or {})


def dashed(color: str) -> dict[str, Any]:
    """A limit: dashed, in its own colour."""
    line = {"fill": "dash", "dash": [8, 6]}
    return {"custom.lineStyle": line, "color": {"mode": "fixed", "fixedColor": color}, "custom.lineWidth": 1}


def band(low: str, high: str, color: str = BLUE) -> dict[str, dict[str, Any]]:
    """Two series drawn as the edges of one shaded band."""
    edge = {"custom.lineWidth": 0, "color": {"mode": "fixed", "fixedColor": color}}
    unnamed = {"custom.hideFrom": {"legend": True, "tooltip": False, "viz": False}}
    return {low: {**edge, **unnamed}, high: {**edge, "custom.fillBelowTo": low, "custom.fillOpacity": 20}}


def _overridden(panel: Any, overrides: Mapping[str, Mapping[str, Any]]) -> Any:
    for name, properties in overrides.items():
        panel = panel.override_by_name(name, [DynamicConfigValue(key, value) for key, value in properties.items()])
    return panel


def rows_of(
    title: str,
    told: str,
    columns: Sequence[Column],
    *queries: Query,
    empty: str,
    unit: str = "short",
    width: int = 12,
    height: int = 8,
    sort: str = "",
    descending: bool = True,
    left_out: Sequence[str] = (),
) -> table.Panel:
    """A table of this moment: one row per combination of labels, one column per query."""
    made = _asked(
        _described(table.Panel(), title, told, unit, empty, width, height), queries, instant=True, as_table=True
    )
    if len(queries) > 1:
        made = made.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    kept = {one.source: n for n, one in enumerate(columns)}
    values = ["Value"] if len(queries) == 1 else [f"Value #{'ABCDEFGHIJKLMNOP'[n]}" for n in range(len(queries))]
    hidden = {name: True for name in ("Time", *values, *left_out) if name not in kept}
    options = {
        "excludeByName": hidden,
        "indexByName": kept,
        "renameByName": {one.source: one.title for one in columns},
    }
    made = made.with_transformation(DataTransformerConfig(id_val="organize", options=options))
    for one in columns:
        if one.properties():
            made = made.override_by_name(one.title, one.properties())
    if sort:
        made = made.sort_by([common.TableSortByFieldState().display_name(sort).desc(descending)])
    return made.cell_height(looks.TableCellHeight.SM).min_width(60).thresholds(thresholds((None, "text")))


def timeline(
    title: str,
    told: str,
    mappings: Sequence[Any],
    *queries: Query,
    empty: str,
    width: int = 24,
    height: int = 8,
    unit: str = "none",
) -> statetimeline.Panel:
    """Which state held when, a row each."""
    made = _asked(_described(statetimeline.Panel(), title, told, unit, empty, width, height), queries)
    made = made.mappings(list(mappings)).merge_values(True).show_value(looks.VisibilityMode.AUTO)
    made = (
        made.row_height(0.8)
        .fill_opacity(75)
        .line_width(0)
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.FIXED))
    )
    legend = common.VizLegendOptions().display_mode(looks.LegendDisplayMode.LIST)
    return made.legend(legend.placement(looks.LegendPlacement.BOTTOM).show_legend(True))


def bar_chart(
    title: str,
    told: str,
    unit: str,
    category: Column,
    values: Mapping[str, str],
    *queries: Query,
    empty: str,
    width: int = 12,
    height: int = 10,
) -> barchart.Panel:
    """Bars of this moment side by side; ``values`` gives the colour of each, by its heading."""
    made = _asked(
        _described(barchart.Panel(), title, told, unit, empty, width, height), queries, instant=True, as_table=True
    )
    fields = [f"Value #{'ABCDEFGH'[n]}" for n in range(len(queries))]
    made = made.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    kept = [category.source, *fields]
    options = {
        "excludeByName": {"Time": True, "monitor": True},
        "indexByName": {name: n for n, name in enumerate(kept)},
        "renameByName": {category.source: category.title, **dict(zip(fields, values, strict=True))},
    }
    made = made.with_transformation(DataTransformerConfig(id_val="organize", options=options))
    made = (
        made.x_field(category.title).orientation(looks.VizOrientation.HORIZONTAL).show_value(looks.VisibilityMode.NEVER)
    )
    made = made.group_width(0.8).bar_width(0.9).fill_opacity(80).x_tick_label_max_length(24).min(0)
    legend = common.VizLegendOptions().display_mode(looks.LegendDisplayMode.LIST)
    made = made.legend(legend.placement(looks.LegendPlacement.BOTTOM).show_legend(True))
    return _overridden(
        made, {name: {"color": {"mode": "fixed", "fixedColor": color}} for name, color in values.items()}
    )
