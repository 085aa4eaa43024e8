"""One parser of bytes under atheris: ``python benchmarks/fuzz_bytes.py settings -runs=30000 -seed=1``; started by fuzz.py."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from monitor.errors import ConfigError, SourceError

TARGETS = ("settings", "labels", "json records", "csv records")
SEEDS = {
    "settings": b"monitors:\n- name: a\n  source: {kind: files, path: x}\n  reference: {train: {kind: files, path: y}}\n",
    "labels": b'[{"id": 1, "annotations": [{"result": [{"value": {"choices": ["a"]}}]}], "data": {"record_id": "r"}}]',
    "json records": b'{"id": "1", "text": "a", "timestamp": "2026-01-05T00:00:00Z", "predicted": "x", "confidence": 0.5}\n',
    "csv records": b"id,text,timestamp,predicted,confidence\n1,a,2026-01-05T00:00:00Z,x,0.5\n",
}


def target(name: str, folder: Path) -> object:
    """What takes the bytes; whatever it raises is a fault."""
    from monitor import config, labels  # noqa: PLC0415 - imported while atheris watches
    from monitor.sources.fields import Fields  # noqa: PLC0415 - the same
    from monitor.sources.files import FilesSource  # noqa: PLC0415 - the same

    path = folder / {"json records": "x.jsonl", "csv records": "x.csv"}.get(name, "x")

    def take(data: bytes) -> None:
        path.write_bytes(data)
        try:
            if name == "settings":
                config.load(path)
            elif name == "labels":
                labels.read_labels(path)
            else:
                fields = Fields(predicted="predicted", confidence="confidence", timezone="UTC")
                for batch in FilesSource(fields, str(path)).read(None):
                    batch.rows.validate(full=True)
        except (ConfigError, SourceError):
            pass

    return take


def main() -> None:
    """Fuzz until the runs are over."""
    import atheris  # noqa: PLC0415 - optional

    name, *flags = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        (corpus / "seed").write_bytes(SEEDS[name])
        with atheris.instrument_imports(include=["monitor", "yaml", "json", "csv"]):
            take = target(name, Path(folder))
        atheris.Setup([sys.argv[0], "-max_len=2000", "-timeout=30", *flags, str(corpus)], take)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
