"""`python -m tests.chart.values_page`: writes the tables of the chart's README, from the comments in values.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from tests.chart.helm import CHART

README = CHART / "README.md"
HEADING = "## Values\n"

KNOWN = {
    "affinity": "As in a pod.",
    "annotations": "Annotations of the object.",
    "enabled": "Whether the chart creates it.",
    "extraEnv": "As `env` of a container.",
    "extraEnvFrom": "As `envFrom` of a container.",
    "extraVolumeMounts": "As `volumeMounts` of a container.",
    "extraVolumes": "As `volumes` of a pod.",
    "image": "`repository` and `tag`; optionally `registry`, `digest` and `pullPolicy`.",
    "limits": "As in a container.",
    "nodeSelector": "As in a pod.",
    "persistence": "The volume for its data; an empty `storageClass` means the default class of the cluster.",
    "podAnnotations": "Annotations of the pods.",
    "podLabels": "Further labels of the pods.",
    "priorityClassName": "As in a pod.",
    "requests": "As in a container.",
    "service": "Type, port and annotations of the Service.",
    "serviceAccount": "Annotations of the ServiceAccount.",
    "strategy": "As in a Deployment.",
    "tolerations": "As in a pod.",
}
"""What needs no comment in values.yaml: the words of Kubernetes, and those that mean the same in every section."""


@dataclass(frozen=True)
class Value:
    """A row: a path like `postgres.image`, its default as YAML (None for what only groups others), its meaning."""

    path: tuple[str, ...]
    default: str | None
    meaning: str


def values() -> list[Value]:
    """Every value of values.yaml, in its order."""
    text = (CHART / "values.yaml").read_text()
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    return list(_walk(root, (), text))


def _walk(node: yaml.MappingNode, above: tuple[str, ...], text: str) -> Iterator[Value]:
    for key, value in node.value:
        path = (*above, key.value)
        meaning = _comment_above(text, key.start_mark.line)
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            if meaning:
                yield Value(path, None, meaning)
            yield from _walk(value, path, text)
        else:
            yield Value(path, _shown(value, text), meaning or _known(path))


def _known(path: tuple[str, ...]) -> str:
    if path[0] == "workloads":
        return "See workloadDefaults."
    return KNOWN.get(path[-1], "")


def _comment_above(text: str, line: int) -> str:
    lines = text.splitlines()
    start = line
    while start and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return " ".join(each.strip().removeprefix("#").strip() for each in lines[start:line])


def _shown(node: yaml.Node, text: str) -> str:
    written = text[node.start_mark.index : node.end_mark.index]
    if isinstance(node, yaml.SequenceNode) and not node.flow_style:
        plain = yaml.safe_load(" " * node.start_mark.column + written)
        return yaml.safe_dump(plain, default_flow_style=True, width=10_000).strip()
    return " ".join(written.split())


def page() -> str:
    """All tables: a section each, a row a value."""
    found = values()
    return HEADING + "".join(_section(name, found) for name in dict.fromkeys(value.path[0] for value in found))


def _section(name: str, found: list[Value]) -> str:
    here = [value for value in found if value.path[0] == name]
    about = next((value.meaning for value in here if value.path == (name,) and value.default is None), "")
    rows = "".join(_row(value) for value in here if value.path != (name,) or value.default is not None)
    return (
        f"\n### {name}\n\n"
        + (f"{about}\n\n" if about else "")
        + f"| value | default | meaning |\n|---|---|---|\n{rows}"
    )


def _row(value: Value) -> str:
    default = "" if value.default is None else f"`{_cell(value.default)}`"
    return f"| `{'.'.join(value.path)}` | {default} | {_cell(value.meaning)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def written() -> str:
    """The README with its tables made anew."""
    prose, _, _ = README.read_text().partition(HEADING)
    return prose + page()


if __name__ == "__main__":
    README.write_text(written())
