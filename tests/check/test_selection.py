"""The accounts and paths that a check is asked for."""

import pytest

from exporter.check.runner import SelectionError, select
from exporter.settings import Settings
from tests.support.fixtures import DescribeAccount, MakeSettings

JB, SMALL = "sestore4/jb", "sestore4/small"
USAGE = ""
NOT_POLLED = "(an account that is not enabled, or belongs to another shard, is not polled)"


@pytest.fixture
def configured(settings: MakeSettings, main: DescribeAccount) -> Settings:
    """Return the settings of two accounts; only the first has the path ``sestore4/small``."""
    return settings("http://127.0.0.1:9/", main(), main(name="other", files={"paths": [JB]}))


@pytest.mark.parametrize(
    ("accounts", "paths", "selected"),
    [
        (
            [],
            [],
            [("main", USAGE), ("main", JB), ("main", SMALL), ("other", USAGE), ("other", JB)],
        ),
        (["other"], [], [("other", USAGE), ("other", JB)]),
        (["main"], [JB], [("main", JB)]),
        ([], [JB], [("main", JB), ("other", JB)]),
        ([], [SMALL], [("main", SMALL)]),
        (["other", "main"], [JB, f"{SMALL}/"], [("main", JB), ("main", SMALL), ("other", JB)]),
    ],
)
def test_the_accounts_with_a_selected_path_are_selected(
    configured: Settings, accounts: list[str], paths: list[str], selected: list[tuple[str, str]]
) -> None:
    """A path is that of every selected account that has it; an account without one is left out."""
    settings = select(configured, accounts, paths)

    assert [(target.account, target.path) for target in settings.targets] == selected
    assert {account.name for account in settings.accounts} == {name for name, _ in selected}


@pytest.mark.parametrize(
    ("accounts", "paths", "message"),
    [
        (["mian"], [], f"no account 'mian' is polled: did you mean 'main'? {NOT_POLLED}"),
        (["xyz"], [], f"no account 'xyz' is polled: there is 'main', 'other' {NOT_POLLED}"),
        ([], ["sestore4/jbb"], "no account polls 'sestore4/jbb': did you mean 'sestore4/jb'?"),
        (["other"], [SMALL], "'other' does not poll 'sestore4/small', but 'main' does"),
        (["other"], ["x"], "'other' does not poll 'x': there is 'sestore4/jb'"),
    ],
)
def test_an_unknown_selection_is_an_error_with_a_suggestion(
    configured: Settings, accounts: list[str], paths: list[str], message: str
) -> None:
    """What is not polled is an error that says what was probably meant, or what there is."""
    with pytest.raises(SelectionError) as error:
        select(configured, accounts, paths)
    assert str(error.value) == message


def test_a_selected_path_without_configured_paths_is_an_error(
    settings: MakeSettings, main: DescribeAccount
) -> None:
    """Where no path is configured, the error says so."""
    configured = settings("http://127.0.0.1:9/", main(files={"paths": []}))
    with pytest.raises(SelectionError, match="no account polls 'x': there is none"):
        select(configured, [], ["x"])
