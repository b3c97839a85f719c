"""The packages of this repository: `python -m tests.packages version|dist`, which `make version` and `make dist` call.

version   write the version in VERSION into each package, the chart and the pages that name it
dist      build the source distribution of each package, and from that its wheel, in dist/

All packages have one version and need each other in that version exactly: docs/adr/0023-packages.md.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = [
    path.parent for parent in ("libs", "services") for path in sorted(ROOT.glob(f"{parent}/*/pyproject.toml"))
]
CHART: Final = ROOT / "charts/longrun/Chart.yaml"
PAGES: Final = [ROOT / name for name in ("docs/quickstart.md", "docs/writing-a-task.md", "libs/longrun/README.md")]
UV: Final = str(Path(sys.executable).parent / "uv")


def version() -> str:
    """The one version of the packages and the chart."""
    return (ROOT / "VERSION").read_text().strip()


def package_with(version: str, text: str) -> str:
    """A pyproject.toml with this version, of the package and of those of ours that it needs."""
    text = re.sub(r'^version = ".*"$', f'version = "{version}"', text, flags=re.MULTILINE)
    return re.sub(r'^( +"longrun-[a-z-]+(?:\[[a-z,]+\])?)[^"]*",$', rf'\g<1>=={version}",', text, flags=re.MULTILINE)


def chart_with(version: str, text: str) -> str:
    """A Chart.yaml with this version, of the chart and of the images that it runs unless told otherwise."""
    return re.sub(r"^(version|appVersion): .*$", rf"\g<1>: {version}", text, flags=re.MULTILINE)


def page_with(version: str, text: str) -> str:
    """A page whose example of a task package depends on any patch of this version."""
    major, minor = version.split(".")[:2]
    return re.sub(r"longrun-jobcore~=[0-9.]+", f"longrun-jobcore~={major}.{minor}.0", text)


def versioned() -> dict[Path, str]:
    """Each file that repeats the version, as it should be."""
    packages = {package / "pyproject.toml": package_with for package in PACKAGES}
    files = packages | dict.fromkeys(PAGES, page_with) | {CHART: chart_with}
    return {path: with_version(version(), path.read_text()) for path, with_version in files.items()}


def build(source: Path, folder: Path, *options: str) -> None:
    """Put a source distribution of `source` and the wheel built from it into the folder, or raise CalledProcessError.

    Only what is installed beside this Python builds it, so no index is asked.
    """
    command = [UV, "build", "--quiet", "--offline", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([*command, "--out-dir", str(folder), *options, str(source)], check=True)


def main(action: str) -> None:
    """Do what the command line says; KeyError if it is neither of the two."""
    {"version": _write_version, "dist": _build_all}[action]()


def _write_version() -> None:
    for path, text in versioned().items():
        path.write_text(text)


def _build_all() -> None:
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    for package in PACKAGES:
        build(package, dist)
    print(*sorted(path.relative_to(ROOT) for path in dist.glob("longrun*")), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
