"""Each generated client compiles without a change, and submits, reads and cancels a task."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.clients.tools import Tools, run

PROGRAMS = Path(__file__).parent / "programs"
CANCELLED = "CANCELLED"


def test_the_document_has_no_complaint_of_redocly(tools: Tools, document: Path) -> None:
    report = json.loads(run(tools.find("redocly"), "lint", document, "--format=json"))
    assert report["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}, report["problems"]


def test_the_document_has_no_complaint_of_spectral(tools: Tools, document: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text('extends: ["spectral:oas"]\n')
    options = ("--ruleset", tmp_path / "rules.yaml", "--format=json", "--quiet")
    assert json.loads(run(tools.find("spectral"), "lint", document, *options) or "[]") == []


def test_python(tools: Tools, document: Path, url: str, tmp_path: Path) -> None:
    generate = tools.find("openapi-python-client")
    run(generate, "generate", "--path", document, "--output-path", tmp_path / "longrun_generated", "--meta", "none")
    operations = [each for item in json.loads(document.read_text())["paths"].values() for each in item.values()]
    made = {file.stem.replace("_", "") for file in (tmp_path / "longrun_generated/api").rglob("*.py")}
    assert not {each["operationId"].lower() for each in operations} - made, "operations that are left out"
    shutil.copy(PROGRAMS / "cancel.py", tmp_path)
    assert run(tools.python(), "cancel.py", f"{url}/v1", cwd=tmp_path).strip() == CANCELLED


def test_typescript(tools: Tools, document: Path, url: str, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(tools.node_modules())
    run(tools.find("openapi-typescript"), document, "--output", tmp_path / "api.d.ts")
    shutil.copy(PROGRAMS / "cancel.mts", tmp_path)
    options = ("--strict", "--module", "nodenext", "--target", "es2022", "--types", "node")
    run(tools.find("tsc"), *options, "cancel.mts", cwd=tmp_path)
    assert run(tools.find("node"), "cancel.mjs", f"{url}/v1", cwd=tmp_path).strip() == CANCELLED


def test_go(tools: Tools, document: Path, url: str, tmp_path: Path) -> None:
    generate, go = tools.find("openapi-generator-cli"), tools.find("go")
    options = "packageName=longrun,withGoMod=false"
    run(generate, "generate", "-i", document, "-g", "go", "-o", tmp_path / "longrun", f"-p={options}")
    shutil.rmtree(tmp_path / "longrun/test")  # they need a library
    shutil.copy(PROGRAMS / "cancel.go", tmp_path)
    (tmp_path / "go.mod").write_text("module example\n\ngo 1.21\n")
    run(go, "vet", "./...", cwd=tmp_path)
    assert run(go, "run", ".", f"{url}/v1", cwd=tmp_path).strip() == CANCELLED


def test_java(tools: Tools, document: Path, url: str, tmp_path: Path) -> None:
    generate, maven, java = tools.find("openapi-generator-cli"), tools.find("mvn"), tools.find("java")
    options = "invokerPackage=longrun,apiPackage=longrun.api,modelPackage=longrun.model"
    run(generate, "generate", "-i", document, "-g", "java", "--library", "native", "-o", tmp_path, f"-p={options}")
    shutil.rmtree(tmp_path / "src/test")
    shutil.copy(PROGRAMS / "Cancel.java", tmp_path / "src/main/java")
    run(maven, "-q", "-B", "compile", "dependency:build-classpath", "-Dmdep.outputFile=classpath", cwd=tmp_path)
    classes = f"target/classes:{(tmp_path / 'classpath').read_text()}"
    assert run(java, "-cp", classes, "Cancel", f"{url}/v1", cwd=tmp_path).strip() == CANCELLED
