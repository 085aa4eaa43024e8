"""What all dashboards have in common: variables, links, annotations."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableRefresh,
    VariableSort,
)
from parts import PAGES, SOURCE, Query

__all__ = ["annotation", "board"]


def annotation(name: str, color: str, expr: str, title: str, text: str, *, at_value: bool = False) -> Any:
    """Marks in every graph; ``at_value`` puts each at the time that is its value in milliseconds."""
    made = dashboard.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color(color).expr(expr)
    made = made.target(Query(expr).target(0, instant=False, as_table=False))
    # Grafana joins marks that lie no further apart than this; a shorter step falls apart where a query over months takes a longer one.
    return made.title_format(title).text_format(text).step("1h").use_value_for_time(at_value)


def _picked(name: str, label: str, told: str, query: str, *, several: bool) -> dashboard.QueryVariable:
    made = dashboard.QueryVariable(name).label(label).description(told).datasource(SOURCE).definition(query)
    made = made.query(query).refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    return made.sort(VariableSort.ALPHABETICAL_ASC).multi(several).include_all(several)


def _pages() -> dashboard.QueryVariable:
    """The address that the settings say, or that of a service on this machine; another one can be typed in."""
    known = 'max by (pages) (drift_monitor_info{monitor=~"$monitor",pages!=""})'
    asked = f'query_result({known} or on () label_replace(vector(1), "pages", "http://localhost:9464", "", ""))'
    told = "Where drift-monitor serves its pages: serve.address of its settings."
    made = _picked("pages", "Pages at", told, asked, several=False)
    return made.regex('/pages="([^"]+)"/').allow_custom_value(True)


def board(uid: str, title: str, told: str, *, since: str, one_monitor: bool = False) -> dashboard.Dashboard:
    """An empty dashboard with the variables and links that all have in common."""
    made = dashboard.Dashboard(title).uid(f"drift-monitor-{uid}").description(told).tags(["drift-monitor"])
    made = made.time(since, "now").refresh("5m").timezone("browser").readonly().tooltip(DashboardCursorSync.CROSSHAIR)
    made = made.annotations([]).with_variable(
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    )
    owners = _picked(
        "owner", "Owner", "Who looks after the monitors.", "label_values(drift_monitor_info, owner)", several=True
    )
    chosen = 'label_values(drift_monitor_info{owner=~"$owner"}, monitor)'
    monitors = _picked("monitor", "Monitor", "Monitors of these owners.", chosen, several=not one_monitor)
    made = made.with_variable(owners).with_variable(monitors)
    if one_monitor:
        classes = 'label_values(drift_monitor_class_share_ratio{monitor=~"$monitor"}, class)'
        made = made.with_variable(
            _picked("class", "Class", "The class whose share is drawn over time.", classes, several=False)
        )
    made = made.with_variable(_pages())
    links = dashboard.DashboardLink("drift-monitor").type(DashboardLinkType.DASHBOARDS).tags(["drift-monitor"])
    made = made.link(links.keep_time(True).icon("external link").tooltip("The other dashboards of drift-monitor"))
    page = dashboard.DashboardLink("Pages").type(DashboardLinkType.LINK).url(PAGES).target_blank(True)
    return made.link(page.icon("doc").tooltip("Monitors, runs with their reports, tickets and candidates"))
