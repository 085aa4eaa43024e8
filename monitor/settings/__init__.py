"""What can be set: the settings file as typed, frozen models, and the parts it names."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, model_validator

from monitor.errors import ConfigError
from monitor.secrets import Secret, Url
from monitor.settings.exports import ExportTerms
from monitor.settings.model import Model
from monitor.settings.monitors import FieldSettings, MonitorSettings, SelectionSettings
from monitor.settings.network import NetworkSettings
from monitor.settings.parts import Part
from monitor.settings.policy import PolicySettings
from monitor.settings.privacy import PrivacySettings
from monitor.settings.schedule import Duration, Schedule

__all__ = [
    "ArtifactSettings",
    "ExportTerms",
    "FieldSettings",
    "MonitorSettings",
    "NetworkSettings",
    "Part",
    "PolicySettings",
    "PrivacySettings",
    "Schedule",
    "SelectionSettings",
    "Settings",
    "StoreSettings",
]


class StoreSettings(Model):
    """The database: SQLite by default, PostgreSQL for several replicas."""

    url: Url = Url("sqlite:///drift-monitor.db")
    password: Secret | None = None


class ArtifactSettings(Model):
    """Where references are kept: a local folder or an object store."""

    url: Url = Url("artifacts")
    storage: dict[str, Any] = Field(
        default_factory=dict, description="options of the object store, as fsspec knows them"
    )


class ServeSettings(Model):
    """The service. It listens on loopback unless told otherwise."""

    host: str = "127.0.0.1"
    port: int = Field(9464, ge=0, le=65535)
    address: str | None = Field(
        None,
        max_length=200,
        pattern=r"^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?$",
        description="where people reach the pages, such as https://drift.example.org; links in alerts and messages lead there",
    )
    poll: Duration = Field(
        timedelta(seconds=30),
        description="how often to look for what other processes left behind, and for what waits to be sent",
    )
    workers: int = Field(
        2, ge=1, le=64, description="runs at a time, each in a process of its own; slow ones may take as many again"
    )
    lease: Duration = Field(timedelta(minutes=15), description="after this long without a sign a run counts as dead")
    log_format: Literal["auto", "text", "json"] = "auto"
    auth_file: str | None = Field(
        None,
        description="file of user:password lines; who reads the pages must be in it, /metrics and probes stay open",
    )
    tls_certificate: str | None = Field(None, description="certificate chain in PEM; with it everything is HTTPS")
    tls_key: str | None = Field(None, description="the certificate's private key in PEM, without a passphrase")

    @property
    def pages(self) -> str:
        """The address without a slash at its end; empty when it is not known."""
        return (self.address or "").rstrip("/")

    @model_validator(mode="after")
    def _both_or_none(self) -> ServeSettings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together; give both or none")
        return self


class MetricsSettings(Model):
    """Where metrics go besides ``/metrics``, for machines that nobody scrapes."""

    textfile: str | None = Field(
        None, pattern=r"\.prom$", description="file for the node exporter's textfile collector, written after each run"
    )
    pushgateway: str | None = Field(
        None,
        pattern=r"^https?://[^/@\s]+(/[^@\s]*)?$",
        description="address of a Pushgateway, pushed to after each run",
    )


class Settings(Model):
    """The whole file."""

    store: StoreSettings = StoreSettings()
    artifacts: ArtifactSettings = ArtifactSettings()
    cache: str | None = Field(".drift-monitor/embeddings.db", description="file of the embedding cache; null for none")
    serve: ServeSettings = ServeSettings()
    metrics: MetricsSettings = MetricsSettings()
    privacy: PrivacySettings = PrivacySettings()
    network: NetworkSettings = NetworkSettings()
    monitors: list[MonitorSettings] = Field(min_length=1)

    @model_validator(mode="after")
    def _monitors_once(self) -> Settings:
        names = [monitor.name for monitor in self.monitors]
        if len(set(names)) < len(names):
            raise ValueError(f"monitors: a name is used twice in {names}")
        return self

    def monitor(self, name: str | None) -> MonitorSettings:
        """The monitor of this name; the only one when no name is given."""
        known = {monitor.name: monitor for monitor in self.monitors}
        if name is None and len(known) == 1:
            return self.monitors[0]
        if name not in known:
            raise ConfigError(f"--monitor {name or ''}: there are {', '.join(known)}; name one of them")
        return known[name]
