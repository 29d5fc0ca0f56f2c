"""Values come from the environment where `${NAME}` stands."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config.substitution import substitute
from exporter.yamlfile.document import Interpolated
from tests.support.fixtures import LoadText, ReadMistakes
from tests.support.sentences import LEADING_ZERO, NO_SUCH_KEY, UNSET_VARIABLE


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${A}", "one"),
        ("<${A}-${_b2}>", "<one-two>"),
        ("${DOLLAR}", "$x ${A}"),
        ("x${EMPTY}", "x"),
        ("$$", "$"),
        ("$${A}", "${A}"),
        ("$$$${A}", "$${A}"),
        ("$$${A}", "$one"),
        ("no variable", "no variable"),
        ("{A}", "{A}"),
    ],
)
def test_variables_are_filled_in_once(text: str, filled: str) -> None:
    """A variable's value is taken as it is, and two dollars are one."""
    environ = {"A": "one", "_b2": "two", "DOLLAR": "$x ${A}", "EMPTY": ""}
    assert substitute(text, environ) == Interpolated(filled)


def test_each_unset_variable_is_named() -> None:
    """One text may lack two variables; each is named once."""
    assert substitute("${A}${B}${A}", {}).errors == (
        f"the environment variable A {UNSET_VARIABLE}",
        f"the environment variable B {UNSET_VARIABLE}",
    )


@pytest.mark.parametrize("text", ["canary$", "$canary", "$ canary", "canary$1"])
def test_a_single_dollar_is_refused(text: str) -> None:
    """A dollar alone is a mistake that says how to write one, without the text."""
    assert substitute(text, {}).errors == (
        "holds a single '$'; write '$$' for a dollar, or ${NAME} for a variable",
    )


@pytest.mark.parametrize("text", ["${", "${canary", "${}", "${1a}", "${a-b}", "${a:-b}", "${ a }"])
def test_a_malformed_variable_is_refused(text: str) -> None:
    """What is no name in braces is a mistake; the text is not shown, for it may be a secret."""
    (sentence,) = substitute(text, {"a": "x"}).errors
    assert sentence == (
        "holds a '${' that is no ${NAME}; a name has letters, digits and '_', then a '}', "
        "and '$$' writes a dollar"
    )


@settings(deadline=None)  # a busy machine is no failure
@given(text=st.text())
def test_doubling_every_dollar_gives_the_text_back(text: str) -> None:
    """Any text can be written, by doubling its dollars."""
    assert substitute(text.replace("$", "$$"), {}) == Interpolated(text)


def test_numbers_durations_and_truth_values_can_come_from_the_environment(
    load_text: LoadText,
) -> None:
    """Given each kind of value as ${NAME}, when loaded, then it is what the text says."""
    loaded = load_text(
        """\
api:
  concurrency: ${CONCURRENCY}
  requests_per_second: ${RATE}
  timeout: ${TIMEOUT}
accounts:
  - cdn: ${CDN}
    name: ${CDN}
    api_key: k
    api_secret: s$$${CDN}
    disk_usage:
      enabled: ${ENABLED}
    files:
      paths:
        - sestore${CDN}/${NAME}
        - path: sestore4
          file_types: ["${TYPE}"]
          folder_depth: ${DEPTH}
""",
        {
            "CONCURRENCY": "8",
            "RATE": "0.5",
            "TIMEOUT": "1m30s",
            "CDN": "158",
            "ENABLED": "false",
            "NAME": "jb",
            "TYPE": "smil",
            "DEPTH": "2",
        },
    )
    api, account = loaded.config.api, loaded.config.accounts[0]
    assert (api.concurrency, api.requests_per_second, api.timeout) == (8, 0.5, 90.0)
    assert (account.cdn, account.name, account.api_secret.read()) == (158, "158", "s$158")
    assert account.disk_usage.enabled is False
    assert [path.path for path in account.files.paths] == ["sestore158/jb", "sestore4"]
    assert account.files.paths[1].file_types == ("smil",)
    assert account.files.paths[1].folder_depth == 2


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("0158", f"; {LEADING_ZERO}"),
        *((text, " in plain digits") for text in ("1e2", "1_58", "158.0", "0x9e", "9" * 30)),
        ("one", ""),
    ],
)
def test_a_number_from_the_environment_has_plain_digits(
    mistakes: ReadMistakes, account: str, text: str, hint: str
) -> None:
    """What is no number in plain digits is refused as any other text is."""
    assert mistakes(account.replace("158", "${CDN}"), {"CDN": text}) == [
        f"config.yaml:2:10: accounts[0].cdn: must be a whole number{hint}"
    ]


QUOTES = "begins and ends with quotes, as docker --env-file keeps them; remove them"
CONTROL = "holds a control character or a line break; remove it"
WHITE_SPACE = (
    "begins or ends with white space or a line break, which is left out here; remove it there"
)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ('"canary"', QUOTES),
        ("'canary'", QUOTES),
        ('""', QUOTES),
        ('"canary"\r', QUOTES),
        ("can\rary", CONTROL),
        ("can\nary", CONTROL),
        ("\x00canary", CONTROL),
        ("canary\x7f", CONTROL),
        ("canary\udcff", CONTROL),
    ],
)
@pytest.mark.parametrize("key", ["api_key", "api_secret", "name", "api_key_file", "cdn"])
def test_an_invalid_value_from_the_environment_names_the_variable(
    mistakes: ReadMistakes, key: str, value: str, error: str
) -> None:
    """Given what an env file leaves in a value, then the variable is named, the value not."""
    keys = {"cdn": "158", "api_key": "k", "api_secret": "s"} | {key: "${A}"}
    if key == "api_key_file":
        del keys["api_key"]
    text = "accounts:\n  -\n" + "".join(f"    {name}: {text}\n" for name, text in keys.items())
    (line,) = mistakes(text, {"A": value})
    assert line.endswith(f": accounts[0].{key}: the environment variable A {error}")
    assert "canary" not in line


@pytest.mark.parametrize("value", ["158\r", " 158", "158\r\n", "158\t", "\n158"])
def test_white_space_around_a_value_is_left_out_with_a_warning(
    load_text: LoadText, account: str, value: str
) -> None:
    """A number is a number, though its env file has the line ends of Windows."""
    loaded = load_text(account.replace("158", "${CDN}"), {"CDN": value})
    assert loaded.config.accounts[0].cdn == 158
    assert [str(warning) for warning in loaded.warnings] == [
        f"config.yaml:2:10: accounts[0].cdn: the environment variable CDN {WHITE_SPACE}"
    ]


def test_a_secret_with_white_space_is_a_warning(load_text: LoadText, account: str) -> None:
    """It is used without the white space, and the warning shows nothing of it."""
    text = account.replace(": secret", ": ${A}")
    loaded = load_text(text, {"A": "canary\n"})
    assert loaded.config.accounts[0].api_secret.read() == "canary"
    (warning,) = map(str, loaded.warnings)
    assert warning.endswith(f"the environment variable A {WHITE_SPACE}")
    assert "canary" not in warning


@pytest.mark.parametrize("value", ["", " ", "\r\n"])
@pytest.mark.parametrize("text", ["${A}", "${A}${A}"])
def test_an_empty_variable_is_named(value: str, text: str) -> None:
    """Nothing is no value, and the sentence says where it was looked for."""
    found = substitute(text, {"A": value})
    assert found.errors == ("the environment variable A is empty; set it",)


def test_keys_are_not_filled_in(mistakes: ReadMistakes, account: str) -> None:
    """A variable as a key is an unknown key."""
    (line,) = mistakes(account + "    ${KEY}: 1\n", {"KEY": "name"})
    assert line == (
        f"config.yaml:5:5: accounts[0].?: {NO_SUCH_KEY} cdn, name, "
        "enabled, labels, api_key, api_secret, disk_usage, files, api_key_file, api_secret_file"
    )
