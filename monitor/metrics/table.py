"""Every metric: its name, kind, help and labels."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["METRICS", "OTHER", "Metric"]

OTHER = "other"
"""The label under which falls what is beyond the number shown by name."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of :data:`METRICS`; every metric but the first two has the label ``monitor`` before these."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ("monitor",)


def _gauge(name: str, told: str, *labels: str) -> Metric:
    return Metric(f"drift_monitor_{name}", "gauge", told, ("monitor", *labels))


def _counter(name: str, told: str, *labels: str) -> Metric:
    return Metric(f"drift_monitor_{name}_total", "counter", told, ("monitor", *labels))


_MEASURED = ("detector", "subject", "segment")

METRICS: tuple[Metric, ...] = (
    Metric("drift_monitor_build_info", "gauge", "Version of drift-monitor; always 1.", ("version",)),
    Metric("drift_monitor_store_up", "gauge", "1 when the database answers with the schema this version needs.", ()),
    _gauge(
        "info",
        "Who looks after the monitor, and where its pages are, empty when that is not known; always 1.",
        "owner",
        "pages",
    ),
    _gauge("period_seconds", "Length of a window."),
    _gauge("limit_seconds", "How long what may last before people are told, as the settings say.", "limit"),
    _gauge("sample_minimum_records", "Records without which there is no verdict."),
    _gauge("false_alarms_allowed_per_year", "False alarms that the budget allows in a year, on average at most."),
    _gauge("first_seen_timestamp_seconds", "When the monitor was first registered."),
    _gauge("state", "1 for the verdict on the newest finished window, 0 for the other states.", "state"),
    _gauge(
        "drift",
        "1 while the newest verdict is drift from this cause; runs that fail or lack records leave it as it was.",
        "cause",
    ),
    _gauge("findings", "Findings of the newest verdict, by what the difference comes from.", "kind"),
    _gauge("run_start_timestamp_seconds", "When the newest finished run began."),
    _gauge("run_finish_timestamp_seconds", "When the newest finished run ended."),
    _gauge("last_success_timestamp_seconds", "When the newest run that came to a verdict ended."),
    _gauge("window_end_timestamp_seconds", "End of the window of the newest finished run."),
    _gauge("watermark_timestamp_seconds", "End of the newest window that is done; failed runs leave it where it was."),
    _gauge("watermark_lag_seconds", "How far the newest window that is done lies behind the clock."),
    _gauge(
        "failing_since_timestamp_seconds",
        "End of the first window that failed since the newest one that is done; only while the newest finished run failed.",
    ),
    _gauge(
        "insufficient_since_timestamp_seconds",
        "End of the first window in a row with too few records; only while there are too few.",
    ),
    _gauge("drifted_since_timestamp_seconds", "End of the first window in a row that drifted; only while it drifts."),
    _gauge("run_step_seconds", "Time the newest finished run spent in each step.", "step"),
    _counter("runs", "Attempts to run a window, by how they ended: done, failed or abandoned.", "status"),
    _gauge("runs_in_progress", "Windows that are claimed and not finished."),
    _gauge("records", "Records of the newest finished window, by what became of them.", "kind"),
    _gauge("rejected_records", "Records of the newest finished window that could not be read, by reason.", "reason"),
    _gauge(
        "embedded_records",
        "Records embedded in the newest finished window, by whether the cache knew their vector.",
        "source",
    ),
    _gauge("rows", "Rows compared in the newest finished window.", "segment", "data"),
    _gauge("effect", "Size of the difference to the reference, in the detector's unit.", *_MEASURED),
    _gauge("effect_low", "Lower end of the 95 % interval of the effect.", *_MEASURED),
    _gauge("effect_high", "Upper end of the 95 % interval of the effect.", *_MEASURED),
    _gauge("p_value", "P-value of the difference, before correction for the number of tests.", *_MEASURED),
    _gauge(
        "detectable_ratio",
        "Smallest share of foreign traffic that this window would have shown, with 80 % power at a level of 5 %.",
        "detector",
        "segment",
    ),
    _gauge("evidence", "Evidence that traffic has changed against the accepted past, over all it looked at."),
    _gauge("evidence_limit", "Evidence that raises an alarm: looks between two false alarms the budget allows."),
    _gauge("tolerance_ratio", "Share of traffic that may change without a ticket."),
    _gauge(
        "martingale", "Wealth of a bet on every look since the baseline; ever 20 by chance in 5 % of monitors at most."
    ),
    _gauge(
        "false_alarms_expected", "False alarms to be expected at most since the baseline began, were nothing to change."
    ),
    _gauge("alarms", "Alarms raised since the baseline began."),
    _gauge("alarm_start_timestamp_seconds", "End of the window that raised the alarm that is on."),
    _gauge(
        "calibrated_level_ratio",
        "Share of looks without drift with p <= 5 %, as calibrate measured it.",
        "data",
        "bound",
    ),
    _gauge("calibrated_timestamp_seconds", "When calibrate was last run."),
    _gauge("suggested_tolerance_ratio", "Tolerance that calibrate suggests."),
    _gauge("class_share_ratio", "Share of each predicted class in the reference and in the window.", "class", "data"),
    _gauge("class_share_low_ratio", "Lower end of the 95 % interval of a class's share in the window.", "class"),
    _gauge("class_share_high_ratio", "Upper end of the 95 % interval of a class's share in the window.", "class"),
    _gauge(
        "classes",
        "Classes that came or went: 5 records or more of one that the reference has not, none of one of which 10 were to be expected.",
        "change",
    ),
    _gauge("candidates", "Records that the newest finished run proposes for labelling."),
    _gauge("labelled_candidates", "Records proposed by any run that have a label by now."),
    _gauge(
        "expected_gain_ratio",
        "Change of accuracy on the new traffic that the newest batch is expected to bring.",
        "bound",
    ),
    _gauge(
        "expected_negative_flips_ratio",
        "Share of what the model has right that refreshing with the newest batch is expected to break.",
        "bound",
    ),
    _gauge("verification_timestamp_seconds", "When the newest refresh was held against the model it replaces."),
    _gauge(
        "verification_verdict",
        "1 for the verdict on the newest refresh, passed, failed or not shown, 0 for the others.",
        "verdict",
    ),
    _gauge(
        "verified_accuracy_ratio",
        "Accuracy of the old and the new model on protected, drifted and random records of the newest verification.",
        "set",
        "model",
    ),
    _gauge("verified_gain_ratio", "Accuracy of the new model less that of the old one.", "set", "bound"),
    _gauge(
        "negative_flips_ratio",
        "Share of what the old model had right that the new one has wrong, in the newest verification.",
        "set",
        "bound",
    ),
    _gauge(
        "positive_flips_ratio",
        "Share of what the old model had wrong that the new one has right, in the newest verification.",
        "set",
        "bound",
    ),
    _gauge("negative_flips_budget_ratio", "Share of what the model has right that a refresh may break."),
    _gauge("model_info", "The model that was declared live last; always 1.", "model"),
    _gauge("model_live_timestamp_seconds", "Since when the model that was declared last is live."),
    _gauge("refresh_labels", "Labels that came in for the model that was declared last, before it went live."),
    _gauge(
        "refresh_recovery_seconds",
        "Time from the last alarm before the model went live to the first stable window; only once there is one.",
    ),
    _gauge(
        "refresh_accuracy_ratio",
        "Accuracy on production before and since the model went live, by records drawn at random.",
        "period",
        "bound",
    ),
    _gauge(
        "production_accuracy_ratio",
        "Running accuracy of the model in production over its newest windows with labels of records drawn at random, 12 at most.",
        "bound",
    ),
    _gauge("production_accuracy_records", "Labelled records drawn at random that the running accuracy rests on."),
    _gauge("tickets", "Tickets by destination and what became of them.", "destination", "status"),
    _gauge(
        "ticket_open_since_timestamp_seconds",
        "When the ticket of the drift that goes on was opened, or opened again; only while it is open.",
        "destination",
    ),
    _gauge(
        "silenced_until_timestamp_seconds",
        "Until when a person wants to hear nothing of this monitor's drift; only once one has said so.",
    ),
    _gauge("exports", "Exports by destination and what became of them.", "destination", "status"),
    _gauge(
        "outbox_oldest_timestamp_seconds",
        "Since when the oldest ticket or export waits to be sent; only while one does.",
        "kind",
        "destination",
    ),
    _counter("publish_failures", "Tickets and exports that could not be sent, each time.", "kind", "destination"),
    _counter(
        "redactions",
        "Places masked on their way to a ticket, an export, a notice or the excerpts of a report, by what they held.",
        "channel",
        "destination",
        "kind",
    ),
    _gauge("reference_info", "The reference that runs are compared with; always 1.", "version", "fingerprint"),
    _gauge("reference_created_timestamp_seconds", "When the reference in use was built."),
    _gauge(
        "run_info", "What the newest finished run worked with; always 1.", "reference_version", "embedder", "settings"
    ),
)
"""Every metric that is exposed, in the order of the exposition."""
