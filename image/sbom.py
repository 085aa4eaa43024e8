"""Prints the bill of materials of this interpreter's packages as CycloneDX 1.5 JSON, from their own metadata.

The same packages give the same bytes: no time and no random serial number.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import Distribution, distributions
from typing import Any


def component(package: Distribution) -> dict[str, Any]:
    """One installed package with version, package URL and licence."""
    told = package.metadata
    name = re.sub(r"[-_.]+", "-", told["Name"]).lower()
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": f"pkg:pypi/{name}@{package.version}",
        "name": name,
        "version": package.version,
        "purl": f"pkg:pypi/{name}@{package.version}".replace("+", "%2B"),
    }
    if expression := told.get("License-Expression"):
        found["licenses"] = [{"expression": expression}]
    elif named := [
        line.rpartition(" :: ")[2]
        for line in told.get_all("Classifier") or ()
        if line.startswith("License :: ") and not line.endswith(":: OSI Approved")
    ]:
        found["licenses"] = [{"license": {"name": one}} for one in named]
    elif said := (told.get("License") or "").strip().partition("\n")[0]:
        found["licenses"] = [{"license": {"name": said}}]
    return found


def bill() -> dict[str, Any]:
    """The whole document; drift-monitor itself is what it describes."""
    found = sorted((component(package) for package in distributions()), key=lambda one: str(one["purl"]))
    own = [one for one in found if one["name"] == "drift-monitor"]
    subject = {"component": {**own[0], "type": "application"}} if own else {}
    parts = [one for one in found if one not in own]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": subject,
        "components": parts,
    }


if __name__ == "__main__":
    json.dump(bill(), sys.stdout, indent=1)
    sys.stdout.write("\n")
