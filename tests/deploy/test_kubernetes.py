"""The manifests for Kubernetes say what it understands, and lock the exporter up."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from shutil import which
from typing import Any, cast

import pytest
import yaml
from jsonschema import Draft7Validator

from deploy.kubernetes.generate import (
    BASE,
    CHART,
    MONITORING,
    ROOT,
    UNPACKED_HELM,
    build_base,
    find_helm,
    render_chart,
)
from exporter import __version__
from exporter.config import load
from exporter.flags import SHARD, TOTAL_SHARDS
from exporter.sharding import choose_shard, parse_shard, parse_total

Manifest = dict[str, Any]

ONE_ACCOUNT = CHART / "examples" / "one_account.yaml"
HELM = find_helm()
KUBECTL = which("kubectl") or which(UNPACKED_HELM.with_name("kubectl"))
VERSIONS = ("1.27", "1.37")
"""The oldest that the chart says it is for, and the newest with schemas."""
EVERYTHING = (
    *("serviceMonitor.enabled=true", "prometheusRule.enabled=true", "dashboard.enabled=true"),
    *("webConfigSecretName=web", "extraArgs={--log.format=json}", "podLabels.team=video"),
    *("imagePullSecrets[0].name=registry", "service.annotations.a=b", "nodeSelector.disk=ssd"),
    *("extraEnv[0].name=HTTPS_PROXY", "extraEnv[0].value=http://proxy:3128"),
    *("priorityClassName=low", "tolerations[0].operator=Exists", "podAnnotations.a=b"),
)
OF_THE_OPERATOR = {"ServiceMonitor", "PrometheusRule"}
WRONG_VALUES = {
    "image.tag=1": "/image/tag",
    "image.digest=latest": "/image/digest",
    "service.port=http": "/service/port",
    "networkPolicy.egressPorts={https}": "/networkPolicy/egressPorts/0",
    "config.accounts[0].cdn=main": "/config/accounts/0/cdn",
    "config.api.timeout=soon": "/config/api/timeout",
    "shards=0": "/shards",
    "replicas=3": "replicas",
}

with_helm = pytest.mark.skipif(HELM is None, reason="helm is not installed; .ci/helm unpacks one")
with_kubectl = pytest.mark.skipif(
    KUBECTL is None, reason="kubectl is not installed; .ci/helm unpacks one"
)


@cache
def render(*values: str) -> tuple[Manifest, ...]:
    """Return the manifests of the chart for one account."""
    assert HELM is not None
    settings = [f"--set={value}" for value in values]
    text = render_chart(HELM, f"--values={ONE_ACCOUNT}", *settings)
    return tuple(yaml.safe_load_all(text))


@cache
def customize(folder: Path) -> tuple[Manifest, ...]:
    """Return the manifests of a kustomization."""
    assert KUBECTL is not None
    built = subprocess.run(  # noqa: S603 - kubectl, with a folder of our own
        [KUBECTL, "kustomize", str(folder)], stdout=subprocess.PIPE, text=True, check=True
    )
    return tuple(yaml.safe_load_all(built.stdout))


def read_base() -> list[Manifest]:
    """Return the manifests of the kustomize base, as they are in the repository."""
    folders = (BASE, MONITORING)
    documents = [
        yaml.safe_load(path.read_text()) for folder in folders for path in folder.glob("*.yaml")
    ]
    return [document for document in documents if "metadata" in document]


def find(manifests: Iterator[Manifest] | tuple[Manifest, ...] | list[Manifest], kind: str) -> Any:
    """Return the one manifest of a kind."""
    (found,) = [manifest for manifest in manifests if manifest["kind"] == kind]
    return found


def find_faults(manifests: tuple[Manifest, ...] | list[Manifest]) -> list[str]:
    """Return what Kubernetes would reject, or drop because it does not know it."""
    if not os.environ.get("CI"):
        pytest.importorskip("kubernetes_validate")
    import kubernetes_validate  # noqa: PLC0415 - half a second that other tests need not wait

    faults = []
    for manifest in manifests:
        for version in VERSIONS if manifest["kind"] not in OF_THE_OPERATOR else ():
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                faults.append(f"{manifest['kind']} in {version}: {error.message}")
    return faults


def find_privileges(stateful_set: Manifest) -> list[str]:
    """Return where the pods leave the restricted profile of Kubernetes' pod security."""
    pod = stateful_set["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    own, context = container["securityContext"], pod["securityContext"]
    held = {
        "not root": context["runAsNonRoot"] is True and context.get("runAsUser") != 0,
        "seccomp": context["seccompProfile"] == {"type": "RuntimeDefault"},
        "capabilities": own["capabilities"] == {"drop": ["ALL"]},
        "escalation": own["allowPrivilegeEscalation"] is False,
        "read-only root": own["readOnlyRootFilesystem"] is True,
        "volumes": all({"configMap", "secret"} & volume.keys() for volume in pod["volumes"]),
        "read-only volumes": all(mount["readOnly"] for mount in container["volumeMounts"]),
        "host": not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(),
        "token": pod["automountServiceAccountToken"] is False,
    }
    return [name for name, is_held in held.items() if not is_held]


@with_helm
def test_the_chart_sets_the_addresses_in_alerts() -> None:
    """The rules of the chart give those addresses that the values have, and none otherwise."""
    base = "prometheusRule.enabled=true"
    set_, unset = (
        find(render(base, *values), "PrometheusRule")["spec"]["groups"]
        for values in (("prometheusRule.runbookUrl=https://wiki.example/#",), ())
    )
    assert set_[: len(unset)] == unset
    assert set_[len(unset) :] == [
        {
            "name": "scaleengine-addresses",
            "rules": [
                {
                    "record": "scaleengine:alert_runbook:info",
                    "expr": "vector(1)",
                    "labels": {"url": "https://wiki.example/#"},
                }
            ],
        }
    ]


@with_helm
def test_the_chart_is_valid_for_kubernetes() -> None:
    """No field is unknown in the oldest and the newest version, and no value is wrong."""
    assert find_faults(render(*EVERYTHING)) == []
    assert {manifest["kind"] for manifest in render(*EVERYTHING)} >= OF_THE_OPERATOR


def test_the_base_is_valid_for_kubernetes() -> None:
    """It is the same for the files of the kustomization."""
    assert len(read_base()) == 7
    assert find_faults(read_base()) == []


def test_an_unknown_field_is_an_error() -> None:
    """The check above can fail, by a name and by a type."""
    service = find(read_base(), "Service")
    assert find_faults([service | {"spec": service["spec"] | {"clusterIp": "None"}}])
    assert find_faults([service | {"spec": service["spec"] | {"clusterIP": 1}}])


def read_block(name: str) -> str:
    """Return the block of the page about the installation that is the file of this name."""
    page = (ROOT / "docs" / "install.md").read_text()
    return page.partition(f"```yaml\n# {name}\n")[2].partition("```")[0]


@with_kubectl
def test_the_documented_overlay_has_a_configuration_of_its_own(tmp_path: Path) -> None:
    """The pods use the one that takes the place of the example, and Grafana gets the dashboard."""
    (tmp_path / "config.yaml").write_text("accounts: [{cdn: 7}]\n")
    folder = os.path.relpath(BASE.parent, tmp_path)
    overlay = read_block("kustomization.yaml").replace(
        "../scaleengine-exporter/deploy/kubernetes", folder
    )
    (tmp_path / "kustomization.yaml").write_text(overlay + "patches: [{path: patch.yaml}]\n")
    (tmp_path / "patch.yaml").write_text(read_block("patch.yaml"))
    manifests = customize(tmp_path)
    (config,) = [manifest for manifest in manifests if "config.yaml" in manifest.get("data", {})]
    assert config["data"]["config.yaml"] == "accounts: [{cdn: 7}]\n"
    pod = find(manifests, "StatefulSet")["spec"]["template"]["spec"]
    assert pod["volumes"][0]["configMap"]["name"] == config["metadata"]["name"]
    assert pod["containers"][0]["image"].endswith(f"/scaleengine-exporter:{__version__}")
    assert find_shards(find(manifests, "StatefulSet")) == [f"shard {n} of 3" for n in range(3)]
    (dashboard,) = [
        manifest for manifest in manifests if "scaleengine.json" in manifest.get("data", {})
    ]
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert find_faults(manifests) == []


@with_helm
def test_the_documented_values_make_every_resource(tmp_path: Path) -> None:
    """They pass the schema, and the Prometheus Operator and Grafana get theirs."""
    assert HELM is not None
    (tmp_path / "values.yaml").write_text(read_block("values.yaml"))
    text = render_chart(HELM, f"--values={tmp_path / 'values.yaml'}")
    kinds = [manifest["kind"] for manifest in yaml.safe_load_all(text)]
    assert set(kinds) >= OF_THE_OPERATOR
    assert kinds.count("ConfigMap") == 2


@with_helm
def test_the_base_is_the_chart_with_its_defaults() -> None:
    """After a change to the chart, `make kubernetes` writes the base again."""
    assert HELM is not None
    for path, contents in build_base(HELM).items():
        assert path.read_text() == contents, f"{path.name} is not current: make kubernetes"


def test_the_pods_are_restricted() -> None:
    """The base keeps to the restricted profile, with a root that cannot be written."""
    assert find_privileges(find(read_base(), "StatefulSet")) == []


@with_helm
def test_the_pods_of_the_chart_are_restricted() -> None:
    """They keep to it with everything switched on, and without a fixed user."""
    assert find_privileges(find(render(*EVERYTHING), "StatefulSet")) == []
    openshift = [f"podSecurityContext.{name}=null" for name in ("runAsUser", "fsGroup")]
    stateful_set = find(render(*openshift), "StatefulSet")
    assert find_privileges(stateful_set) == []
    assert "runAsUser" not in stateful_set["spec"]["template"]["spec"]["securityContext"]


def test_each_selector_finds_the_pods() -> None:
    """Service, policy, budget and monitor select by labels that are there, and ports by name."""
    manifests = read_base()
    pod = find(manifests, "StatefulSet")["spec"]["template"]
    service = find(manifests, "Service")
    monitor = find(manifests, "ServiceMonitor")["spec"]
    policy = find(manifests, "NetworkPolicy")["spec"]
    budget = find(manifests, "PodDisruptionBudget")["spec"]
    labels = pod["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= labels
    assert policy["podSelector"]["matchLabels"].items() <= labels
    assert budget["selector"]["matchLabels"].items() <= labels
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (port,) = pod["spec"]["containers"][0]["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    assert policy["ingress"][0]["ports"] == [{"protocol": "TCP", "port": port["name"]}]
    assert monitor["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]


def test_the_alerts_name_the_scraped_job() -> None:
    """The job is named as the rules and the dashboard name it."""
    (endpoint,) = find(read_base(), "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": "scaleengine"}]


@pytest.mark.parametrize("path", [BASE / "config.yaml", ONE_ACCOUNT])
def test_the_example_configurations_are_good(path: Path, tmp_path: Path) -> None:
    """The exporter accepts what stands in the base and in the chart's example."""
    mounts = find(read_base(), "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    secrets = mounts["volumeMounts"][1]["mountPath"]
    for name in ("api_key", "api_secret"):
        (tmp_path / name).write_text("k")
    written = yaml.safe_load(path.read_text().replace(secrets, str(tmp_path)))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(written.get("config", written)))
    assert len(load(tmp_path / "config.yaml", {}).config.accounts) == 1


@with_helm
def test_a_changed_configuration_replaces_the_pods() -> None:
    """The template of the pods has a checksum of it."""
    checksums = {
        find(render(*values), "StatefulSet")["spec"]["template"]["metadata"]["annotations"][
            "checksum/config"
        ]
        for values in ((), ("config.api.timeout=20s",))
    }
    assert len(checksums) == 2


def find_shards(stateful_set: Manifest) -> list[str]:
    """Return the shards that the pods are, by their names and their environment."""
    (container,) = stateful_set["spec"]["template"]["spec"]["containers"]
    environ = {variable["name"]: variable["value"] for variable in container["env"]}
    hosts = [
        f"{stateful_set['metadata']['name']}-{ordinal}"
        for ordinal in range(stateful_set["spec"]["replicas"])
    ]
    shard = parse_shard(environ[str(SHARD.envvar)])
    total = parse_total(environ[str(TOTAL_SHARDS.envvar)])
    return [str(choose_shard(shard, total, host)) for host in hosts]


def test_one_pod_polls_everything() -> None:
    """The base is not divided."""
    assert find_shards(find(read_base(), "StatefulSet")) == ["shard 0 of 1"]


@with_helm
def test_the_pods_share_the_accounts() -> None:
    """Each pod is a shard of its own, and knows how many there are."""
    stateful_set = find(render("shards=3"), "StatefulSet")
    assert find_shards(stateful_set) == ["shard 0 of 3", "shard 1 of 3", "shard 2 of 3"]


@with_helm
def test_the_last_pods_can_be_updated_first() -> None:
    """Pods are replaced one after the other, and those below a partition are not."""
    for partition in (0, 2):
        strategy = find(render(f"updatePartition={partition}"), "StatefulSet")["spec"][
            "updateStrategy"
        ]
        assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}


@with_helm
def test_the_health_check_works_with_passwords_and_tls() -> None:
    """With a web config file the exporter's own command asks, which needs neither."""
    pod = find(render(*EVERYTHING), "StatefulSet")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    command = ["scaleengine-exporter", "healthcheck"]
    assert container["startupProbe"]["exec"]["command"] == command
    assert container["livenessProbe"]["exec"]["command"] == command
    assert "readinessProbe" not in container


@with_helm
def test_helm_lint_finds_nothing() -> None:
    """The chart passes the linter with warnings as errors, and names what it needs without."""
    assert HELM is not None
    with_account, without = (
        subprocess.run(  # noqa: S603 - helm, with our own chart
            [HELM, "lint", "--strict", str(CHART), *values],
            capture_output=True,
            text=True,
            check=False,
        )
        for values in ([f"--values={ONE_ACCOUNT}"], [])
    )
    assert "0 chart(s) failed" in with_account.stdout, with_account.stdout
    assert without.returncode != 0
    assert "at '/config': missing property 'accounts'" in without.stdout


@with_helm
def test_helm_rejects_wrong_values_with_their_places() -> None:
    """A wrong type, an unknown key and a wrong configuration are one clear error each."""
    assert HELM is not None
    rejected = subprocess.run(  # noqa: S603 - helm, with our own chart
        [HELM, "template", str(CHART), f"--values={ONE_ACCOUNT}"]
        + [f"--set={value}" for value in WRONG_VALUES],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rejected.returncode != 0
    assert [place for place in WRONG_VALUES.values() if place not in rejected.stderr] == []


def read_schema() -> Mapping[str, Any]:
    """Return the schema of the chart's values."""
    return cast("Mapping[str, Any]", json.loads((CHART / "values.schema.json").read_text()))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("image", {"repository": 1}), ("service", {"port": "10058"}), ("extraArgs", "--a=b")),
        *(("config", {"accounts": []}), ("config", {"accounts": [{"cdn": "x"}]})),
        *(("secretName", None), ("networkPolicy", {"enabled": "yes"}), ("shards", "3")),
        *(
            ("config", {"accounts": [{"cdn": 1, name: text}]})
            for name in ("api_key", "api_secret")
            for text in ("k", "k${NAME}", "$${NAME}")
        ),
        *(("extraArgs", [flag]) for flag in ("--shard=1", "--total-shards", "--config.file=a")),
        *(("extraArgs", [flag]) for flag in ("--web.listen-address=:1", "--web.config.file=a")),
        ("extraEnv", [{"name": "SCALEENGINE_EXPORTER_TOTAL_SHARDS", "value": "2"}]),
        ("extraEnv", [{"name": "SCALEENGINE_EXPORTER_WEB_LISTEN_ADDRESS", "value": ":1"}]),
        *(("serviceMonitor", {"interval": 30}), ("podLabels", {"a": 1}), ("image", {"tagg": ""})),
        *(("updatePartition", partition) for partition in ("1", -1, 0.5)),
    ],
)
def test_the_schema_rejects_wrong_values(key: str, value: object) -> None:
    """The same is found by any validator of JSON Schema, without Helm."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    values |= yaml.safe_load(ONE_ACCOUNT.read_text())
    validator = Draft7Validator(read_schema())
    assert [error.message for error in validator.iter_errors(values)] == []
    errors = list(validator.iter_errors(values | {key: value}))
    assert errors
    assert {error.path[0] if error.path else error.message.split("'")[1] for error in errors} == {
        key
    }


def test_the_schema_accepts_what_the_chart_does_not_set() -> None:
    """A secret may be named by a variable, and other flags and variables may be added."""
    values = yaml.safe_load((CHART / "values.yaml").read_text()) | {
        "config": {"accounts": [{"cdn": 1, "api_key": "${KEY}", "api_secret": "${SECRET}"}]},
        "extraArgs": ["--shards", "--log.format=json"],
        "extraEnv": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}],
    }
    errors = Draft7Validator(read_schema()).iter_errors(values)
    assert [error.message for error in errors] == []


def test_the_schema_requires_what_the_templates_need() -> None:
    """A section that is set to null is named, instead of an error inside of a template."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    values |= yaml.safe_load(ONE_ACCOUNT.read_text())
    validator = Draft7Validator(read_schema())
    sections = [
        key for key, value in values.items() if isinstance(value, dict) and "enabled" in value
    ]
    for key in ("service", *sections):
        without = {name: value for name, value in values.items() if name != key}
        (error,) = validator.iter_errors(without)
        assert error.message == f"{key!r} is a required property"


@with_helm
def test_text_that_looks_like_a_number_stays_text() -> None:
    """Names are quoted, also that of the release."""
    assert HELM is not None
    settings = [f"--set-string={key}=123" for key in ("secretName", "priorityClassName")]
    text = render_chart(HELM, f"--values={ONE_ACCOUNT}", *settings, name="123")
    stateful_set = find(tuple(yaml.safe_load_all(text)), "StatefulSet")
    pod = stateful_set["spec"]["template"]["spec"]
    assert pod["priorityClassName"] == "123"
    assert pod["volumes"][1]["secret"]["secretName"] == "123"
    assert stateful_set["metadata"]["labels"]["app.kubernetes.io/instance"] == "123"


def test_each_value_has_a_default_and_a_description() -> None:
    """The values of the file are those of the schema, at every level that it closes."""

    def compare(schema: Mapping[str, Any], values: Mapping[str, Any], place: str) -> Iterator[str]:
        if schema["properties"].keys() - {"global", "claims"} != values.keys():
            yield place
        for key, value in values.items():
            below = schema["properties"][key]
            if not below.get("description"):
                yield f"{place}/{key}"
            if "properties" in below and key != "config":
                yield from compare(below, value, f"{place}/{key}")

    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert list(compare(read_schema(), values, "")) == []


def test_the_chart_has_the_version_of_the_program() -> None:
    """The chart and the base run the image of the program that they come with."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    base = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
    assert [image["newTag"] for image in base["images"]] == [__version__]
