"""What the documents refer to exists: links, commands, keys, metrics, endpoints, alerts."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from exporter.config import load
from exporter.config.model import Config
from exporter.metrics.descriptions import DISK_USAGE
from exporter.web.config_file.sections import WebConfigFile
from exporter.yamlfile.models import list_section_keys
from tests.project.reference import collect_families
from tests.support.command_line import read_command_line

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (
        *sorted(ROOT.glob("*.md")),
        *sorted(ROOT.glob("docs/*.md")),
        ROOT / "monitoring" / "README.md",
        ROOT / "bench" / "README.md",
    )
}
PLAIN: Final = {name: text for name, text in DOCUMENTS.items() if name != "CHANGELOG.md"}
"""Those that speak of the program as it is now."""

PROGRAM: Final = "scaleengine-exporter"
COMMAND: Final = re.compile(rf"^(?:\$ )?(?:docker run .*|\w+=\S* |\S*/)?{PROGRAM}(?:$|(?= ))")
API_COMMANDS: Final = {"disk.usage", "files.list", "files.getstorage"}

each_document = pytest.mark.parametrize("name", DOCUMENTS)
each_plain = pytest.mark.parametrize("name", PLAIN)


def blocks(text: str, *languages: str) -> list[str]:
    """Return the code of the blocks in one of the languages."""
    pattern = rf"^ *```(?:{'|'.join(languages)})\n(.*?)^ *```$"
    return re.findall(pattern, text, re.MULTILINE | re.DOTALL)


def inline_code(text: str) -> list[str]:
    """Return what stands between backticks outside of blocks."""
    without_blocks = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", without_blocks)


def commands(text: str) -> Iterator[str]:
    """Return the lines of shell blocks, continued ones as one, and the code inside sentences."""
    for block in blocks(text, "sh", "console"):
        yield from re.sub(r"\\\n\s*", " ", block).splitlines()
    yield from inline_code(text)


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"(?ms)^```.*?^```$", "", text), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


@each_document
def test_links_have_a_destination(name: str) -> None:
    """The files that a document links to exist, and their headings too."""
    text = DOCUMENTS[name]
    broken = []
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        linked = ((ROOT / name).parent / file).resolve() if file else ROOT / name
        if not linked.exists() or (anchor and anchor not in anchors(linked.read_text())):
            broken.append(target)
    assert broken == []


def test_every_document_is_linked() -> None:
    """Each page below docs/ is linked from the README."""
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)", DOCUMENTS["README.md"]))
    assert linked == {name for name in DOCUMENTS if name.startswith("docs/")}


@each_plain
def test_commands_are_understood(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command line reads each command of ours that a document shows."""
    for command in commands(PLAIN[name]):
        if not (found := COMMAND.match(command)):
            continue
        rest = re.split(r"(?<!\\)[|;&>](?!\w*=)|\s#", command[found.end() :])[0]
        line = read_command_line(*shlex.split(re.sub(r"\$\([^)]*\)", "2026-01-31", rest)))
        assert line.status == 0, f"{command}: {capsys.readouterr().err}"


@each_plain
def test_make_targets_exist(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    shown = {
        found[1]
        for command in commands(PLAIN[name])
        if (found := re.match(r"make ([\w-]+)", command))
    }
    assert shown <= targets


@each_plain
def test_flags_exist(name: str) -> None:
    """Flags inside of sentences are flags of the program."""
    shown = {
        found[1]
        for code in inline_code(PLAIN[name])
        if (found := re.match(r"(--(?:web|config|log)\.[\w.-]+)", code))
    }
    help_text = (ROOT / "docs" / "configuration.md").read_text()
    assert shown <= set(re.findall(r"^\| `(--[\w.-]+)` \|", help_text, re.MULTILINE))


@each_plain
def test_metrics_exist(name: str) -> None:
    families = collect_families()
    served = {*families, *(f"{family}_{part}" for family in families for part in ("bucket",))}
    shown = re.findall(r"(?<![:\w])scaleengine_(?!exporter\b)\w+(?![:\w*])", PLAIN[name])
    assert DISK_USAGE.name in served
    assert {metric for metric in shown if not metric.endswith("_")} - served == set()


@each_plain
def test_keys_exist(name: str) -> None:
    """Keys inside of sentences, such as ``api.url``, are keys of the configuration."""
    known = {
        ".".join((*way[-1:], key))
        for way, keys in list_section_keys(Config).items()
        for key in keys
    }
    shown = {
        code
        for code in inline_code(PLAIN[name])
        if re.fullmatch(r"(api|limits|log|disk_usage|files)\.[a-z_]+", code)
    }
    assert shown - API_COMMANDS <= known


@each_plain
def test_configurations_are_good(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each configuration with accounts passes the check, and each web config file its model."""
    monkeypatch.chdir(tmp_path)
    for block in blocks(PLAIN[name], "yaml"):
        shown = yaml.safe_load(block)
        if "accounts" in shown:
            names = re.findall(r"\$\{(\w+)\}", block)
            environ = dict.fromkeys(names, "158")
            environ["CREDENTIALS_DIRECTORY"] = str(tmp_path)
            for file in ("secret", "api_key", "api_secret"):
                (tmp_path / file).write_text("a-secret\n")
            (tmp_path / "config.yaml").write_text(block)
            load(tmp_path / "config.yaml", environ)
        elif {"tls_server_config", "basic_auth_users"} & set(shown):
            assert set(shown) <= {
                field.alias or key for key, field in WebConfigFile.model_fields.items()
            }


@each_plain
def test_alerts_exist(name: str) -> None:
    alerts = set(re.findall(r"- alert: (\w+)", (ROOT / "monitoring" / "alerts.yml").read_text()))
    shown = re.findall(r"\bScaleEngine[A-Z]\w+", PLAIN[name])
    assert {alert for alert in shown if not alert.endswith("Error")} <= alerts


@each_plain
def test_endpoints_exist(name: str) -> None:
    source = (ROOT / "exporter" / "web" / "app.py").read_text()
    routes = set(re.findall(r'add_\w+\("([^"]+)"', source)) | {"/metrics"}
    shown = {
        code.split("?")[0].removeprefix("POST ").removeprefix("GET ")
        for code in inline_code(PLAIN[name])
        if re.match(r"((POST|GET) )?/(-/|api/|config$|metrics$)", code)
    }
    assert shown <= routes


@each_plain
def test_source_files_exist(name: str) -> None:
    """Files and folders of the project inside of sentences are there."""
    tops = "bench|deploy|docs|exporter|monitoring|tests"
    shown = {code for code in inline_code(PLAIN[name]) if re.fullmatch(rf"({tops})/[\w./-]*", code)}
    assert [path for path in sorted(shown) if not (ROOT / path).exists()] == []


def test_all_packages_are_described() -> None:
    """The page of the architecture has each package, and no other."""
    described = re.findall(r"^\| `exporter/(\w+)/` \|", PLAIN["docs/architecture.md"], re.MULTILINE)
    packages = {file.parent.name for file in (ROOT / "exporter").glob("*/__init__.py")}
    assert set(described) == packages
