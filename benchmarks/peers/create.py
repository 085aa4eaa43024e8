"""Makes the virtual environment the peers run in, and notes which of them could not be installed and why.

python benchmarks/peers/create.py [FOLDER] [ARGUMENTS OF PIP ...]
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = Path.home() / ".cache" / "drift-monitor" / "peers"
PEERS = ("alibi-detect", "evidently", "frouros", "hyppo", "torchdrift")


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    pins = [line for line in (HERE / "requirements.txt").read_text().splitlines() if "==" in line]
    install = [str(python), "-m", "pip", "install", "--quiet", *sys.argv[2:], "-c", str(HERE / "requirements.txt")]
    # torch first: as a dependency of another package it may come with gigabytes for graphics cards.
    subprocess.run([*install, next(p for p in pins if p.startswith("torch=="))], check=True)
    missing = {}
    for peer in PEERS:
        done = subprocess.run(
            [*install, next(p for p in pins if p.startswith(peer))], capture_output=True, text=True, check=False
        )
        if done.returncode:
            missing[peer] = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        print(f"{peer}: {missing.get(peer, 'installed')}")
    (folder / "missing.json").write_text(json.dumps(missing, indent=2) + "\n")


if __name__ == "__main__":
    main()
