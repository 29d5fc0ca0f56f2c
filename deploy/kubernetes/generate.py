"""Write what the Kubernetes manifests have from elsewhere in the repository.

The rules, the dashboard and the schema of the configuration each have one source. The chart and the
kustomization can read only files below their own folders, so this program writes them there. The
kustomize base is the chart, rendered with its defaults: for that, `helm` is needed.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from shutil import which
from typing import Any, Final

import yaml

from exporter.config.secrets import NAMES as SECRETS
from exporter.config.substitution import NAME as VARIABLE

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = Path(__file__).parent
CHART: Final = FOLDER / "chart"
BASE: Final = FOLDER / "base"
MONITORING: Final = FOLDER / "monitoring"
UNPACKED_HELM: Final = ROOT / ".tools" / "kubernetes" / "helm"
"""Where `.ci/helm` puts it."""

NAME: Final = "scaleengine-exporter"
HEADER: Final = "# Made by `make kubernetes`; change its source instead: {source}\n"
BASE_KINDS: Final = {
    "StatefulSet": "stateful_set.yaml",
    "Service": "service.yaml",
    "ServiceAccount": "service_account.yaml",
    "NetworkPolicy": "network_policy.yaml",
    "PodDisruptionBudget": "pod_disruption_budget.yaml",
}
MONITORING_KINDS: Final = {"ServiceMonitor": "service_monitor.yaml"}
_WITHOUT_LOOKAHEAD: Final[Mapping[str, Mapping[str, Any]]] = {
    "(?=[0-9])": {"minLength": 1},  # the rest of the pattern begins with a digit, or is empty
    "(?!__)": {"allOf": [{"not": {"pattern": "^__"}}]},
}
"""What says the same as the lookaheads in the schema of the configuration."""
OF_HELM: Final = ("app.kubernetes.io/managed-by", "helm.sh/chart")


def find_helm() -> str | None:
    """Return the path of helm, from this machine or as `.ci/helm` has unpacked it."""
    return which("helm") or which(UNPACKED_HELM)


def render_chart(helm: str, *arguments: str, name: str = NAME) -> str:
    """Return the manifests that the chart makes with the arguments of `helm template`.

    Raises `subprocess.CalledProcessError` where helm rejects them; it says why itself.
    """
    rendered = subprocess.run(  # noqa: S603 - helm, with the arguments of our own
        [helm, "template", name, str(CHART), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return rendered.stdout


def build_values_schema() -> str:
    """Return the schema of the chart's values, with that of the configuration in its place."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    config = json.loads((ROOT / "exporter" / "config" / "schema.json").read_text())
    schema["$defs"] = config.pop("$defs")
    config.pop("$schema")
    # A ConfigMap is no place for a secret. Helm shows a text that breaks a pattern, but not here.
    only_variable = {"not": {"not": {"pattern": rf"^\$\{{{VARIABLE}\}}$"}}}
    for name in SECRETS:
        schema["$defs"]["AccountConfig"]["properties"][name] |= only_variable
    schema["properties"]["config"] = config
    without_lookahead(schema)
    return json.dumps(schema, indent=2) + "\n"


def without_lookahead(schema: Any) -> None:
    """Say in another way, in a schema and all below it, what Go's expressions cannot.

    Raises `ValueError` for a lookahead that this program does not know.
    """
    children = schema.values() if isinstance(schema, dict) else schema
    for child in children if isinstance(schema, dict | list) else ():
        without_lookahead(child)
    if isinstance(schema, dict) and "(?" in str(schema.get("pattern")):
        for lookahead, otherwise in _WITHOUT_LOOKAHEAD.items():
            if lookahead in schema["pattern"]:
                schema["pattern"] = schema["pattern"].replace(lookahead, "")
                schema |= otherwise
        if "(?" in schema["pattern"]:
            raise ValueError(f"Go has no lookahead, say it in another way: {schema['pattern']}")


def build_rule() -> str:
    """Return the rules of `monitoring/` as a resource of the Prometheus Operator."""
    rules = (ROOT / "monitoring" / "alerts.yml").read_text()
    head = (
        "apiVersion: monitoring.coreos.com/v1\n"
        "kind: PrometheusRule\n"
        f"metadata:\n  name: {NAME}\n  labels:\n    app.kubernetes.io/name: {NAME}\n"
        f"    app.kubernetes.io/instance: {NAME}\n"
        "spec:\n"
    )
    body = "".join(
        f"  {line}" if line.strip() else line for line in rules.splitlines(keepends=True)
    )
    return HEADER.format(source="monitoring/alerts.yml") + head + body


def build_copies() -> dict[Path, str]:
    """Return the contents of each file that is made without helm."""
    rules = (ROOT / "monitoring" / "alerts.yml").read_text()
    dashboard = (ROOT / "monitoring" / "dashboard.json").read_text()
    return {
        CHART / "values.schema.json": build_values_schema(),
        CHART / "files" / "alerts.yml": rules,
        CHART / "files" / "dashboard.json": dashboard,
        MONITORING / "prometheus_rule.yaml": build_rule(),
        MONITORING / "scaleengine.json": dashboard,
    }


def build_base(helm: str) -> dict[Path, str]:
    """Return the contents of each file of the kustomization that the chart makes."""
    values = CHART / "examples" / "one_account.yaml"
    rendered = render_chart(
        helm, f"--values={values}", "--set=serviceMonitor.enabled=true", name=NAME
    )
    files = {}
    for manifest in yaml.safe_load_all(rendered):
        kind = manifest["kind"]
        for folder, names in ((BASE, BASE_KINDS), (MONITORING, MONITORING_KINDS)):
            if kind in names:
                drop_helm(manifest)
                source = HEADER.format(source="deploy/kubernetes/chart")
                files[folder / names[kind]] = source + yaml.safe_dump(manifest, sort_keys=False)
    return files


def drop_helm(manifest: dict[str, Any]) -> None:
    """Remove from a manifest what only Helm needs.

    Kustomize gives a changed configuration a new name; with Helm its checksum restarts the pods.
    """
    for metadata in find_metadata(manifest):
        for label in OF_HELM:
            metadata.get("labels", {}).pop(label, None)
        metadata.get("annotations", {}).pop("checksum/config", None)


def find_metadata(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the metadata of a manifest, and those of its pods."""
    yield manifest["metadata"]
    if "template" in manifest.get("spec", {}):
        yield manifest["spec"]["template"]["metadata"]


def write(files: Mapping[Path, str]) -> None:
    """Write each file."""
    for path, contents in files.items():
        path.write_text(contents)


def main() -> None:
    """Write all files; without helm, say which are left as they were."""
    helm = find_helm()
    write(build_copies())
    if helm is not None:
        write(build_base(helm))
    else:
        print("no helm: base/ is as it was; .ci/helm unpacks one", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
