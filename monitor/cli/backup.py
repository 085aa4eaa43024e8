"""The command that copies a SQLite database while it is in use: db backup."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.console import DEFAULT_CONFIG, ConfigOption, settings_of, stdout
from monitor.errors import ConfigError, StoreError
from monitor.whole_files import new_whole
from monitor.wiring import open_store

__all__ = ["backup"]


def backup(
    file: Annotated[Path, typer.Argument(help="Where to write the copy; its folder must be there, it must not.")],
    config_path: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Copy a SQLite database to a new file, whole, while others use it. For PostgreSQL there is pg_dump."""
    # Not upgraded first: this is what one wants to have before an upgrade.
    store = open_store(settings_of(config_path))
    try:
        with new_whole(file) as unfinished:
            store.copy_to(unfinished)
    except FileExistsError as error:
        raise ConfigError(f"{file} exists already and is left as it is; name a new file") from error
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror}") from error
    finally:
        store.close()
    stdout.print(f"{file} written, {file.stat().st_size / 1e6:.1f} MB", soft_wrap=True, markup=False)
