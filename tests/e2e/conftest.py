"""One stack for all tests: a simulated ScaleEngine, the exporter, and two that watch it."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from exporter.simulator import Simulator
from tests.e2e.accounts import USUAL, Polled, demo, shop, today
from tests.e2e.history import fill
from tests.e2e.polling_exporter import Exporter, running_exporter
from tests.e2e.programs import NO_PROMETHEUS_3, needed, prometheus_3, promtool_of
from tests.e2e.proofs import Proofs
from tests.e2e.watching import Watch, watching

PROOFS = pytest.StashKey[Proofs]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--e2e-table", type=Path, help="write the tables of proofs to this file")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[PROOFS] = Proofs()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what was proven."""
    proofs = config.stash[PROOFS]
    terminalreporter.section("proofs")
    for line in proofs.lines():
        terminalreporter.write_line(line)
    if (file := config.getoption("--e2e-table")) is not None:
        proofs.write(file)


@pytest.fixture(scope="session")
def proofs(request: pytest.FixtureRequest) -> Proofs:
    """Return the tables that are printed at the end."""
    return request.config.stash[PROOFS]


@pytest.fixture(scope="session")
def polled() -> Mapping[str, Polled]:
    """Return the two accounts that are simulated and polled, by name."""
    return {account.name: account for account in (demo(today()), shop(today()))}


@pytest.fixture(scope="session")
def scaleengine(polled: Mapping[str, Polled]) -> Iterator[Simulator]:
    """Run a ScaleEngine with the two accounts."""
    with Simulator([account.account for account in polled.values()], USUAL) as running:
        yield running


@pytest.fixture(scope="session")
def exporter(
    scaleengine: Simulator,
    polled: Mapping[str, Polled],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Exporter]:
    """Run the exporter on the two accounts."""
    folder = tmp_path_factory.mktemp("exporter")
    with running_exporter(folder, scaleengine.url, list(polled.values())) as running:
        yield running


@pytest.fixture(scope="session")
def watches(
    exporter: Exporter, polled: Mapping[str, Polled], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Watch]]:
    """Watch the exporter with the Prometheus that is installed, and with a Prometheus 3 if any.

    Each has nine days of history, and an Alertmanager of its own.
    """
    alertmanager = needed("alertmanager", "prometheus-alertmanager")
    installed = needed("prometheus")
    found = {"installed": installed, "newer": prometheus_3()}
    history = tmp_path_factory.mktemp("history")
    fill(promtool_of(installed), history, list(polled.values()), exporter.address)
    with ExitStack() as ending:
        running = {}
        for which, prometheus in found.items():
            if prometheus is not None:
                folder = tmp_path_factory.mktemp(f"watch-{which}")
                shutil.copytree(history / "data", folder / "data")
                programs = (prometheus, alertmanager)
                running[which] = ending.enter_context(watching(folder, programs, exporter.address))
        yield running


@pytest.fixture(params=["installed", "newer"])
def watch(watches: Mapping[str, Watch], request: pytest.FixtureRequest) -> Watch:
    """Return each of the Prometheus that watch, in turn."""
    if request.param not in watches:
        pytest.skip(NO_PROMETHEUS_3)
    return watches[request.param]
