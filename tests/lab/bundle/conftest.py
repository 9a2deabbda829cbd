from __future__ import annotations

import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from openturret.lab.bundle.folder import SiteFolder, create
from openturret.lab.bundle.manufacture import NamePlate, add_units
from openturret.lab.bundle.publisher import Publisher

MAC = "02:54:50:00:00:01"
FOLDER = "02-54-50-00-00-01"


class Calendar:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_days(self, days: float) -> None:
        self.now += timedelta(days=days)


def write_wheel(path: Path, *, name: str = "openturret", version: str = "1.0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        archive.writestr(f"{name}-{version}.dist-info/METADATA", about)
    return path


@pytest.fixture
def calendar() -> Calendar:
    return Calendar()


@pytest.fixture
def site(tmp_path: Path) -> SiteFolder:
    """A site as ``init`` makes it, with an image that is small."""
    create(tmp_path / "site")
    folder = SiteFolder(tmp_path / "site")
    write_wheel(folder.firmware / "touchpro/openturret-1.0.whl")
    return folder


@pytest.fixture
def publisher(site: SiteFolder, calendar: Calendar) -> Publisher:
    """The site's publisher; one unit was added."""
    made = Publisher(site, calendar)
    add_units(made, [NamePlate.of(MAC, "TP000001", "TouchPro", "touchpro")])
    return made
