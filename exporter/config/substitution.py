"""``${NAME}`` in a text is taken from the environment; ``$$`` is a dollar."""

import re
from collections.abc import Mapping

from exporter.yamlfile.document import Interpolated
from exporter.yamlfile.files import has_control_characters, is_quoted

NAME = "[A-Za-z_][A-Za-z0-9_]*"

_DOLLAR = re.compile(rf"\$(?:(?P<dollar>\$)|\{{(?P<name>{NAME})\}}|(?P<brace>\{{))?")


def substitute(text: str, environ: Mapping[str, str]) -> Interpolated:
    """Return the text with its variables replaced, and what is wrong with it or with them.

    The messages name variables, never the text or a value: it may be a secret. White space at
    the ends of a value is left out, which is a warning. The rest of a value is taken as it is,
    dollars too.
    """
    errors: dict[str, None] = {}
    warnings: dict[str, None] = {}

    def replace(found: re.Match[str]) -> str:
        name = found["name"]
        if found["dollar"]:
            return "$"
        if not name or name not in environ:
            errors[_describe_malformed(name, has_brace=bool(found["brace"]))] = None
            return ""
        value = environ[name].strip()
        if error := _find_error(value):
            errors[f"the environment variable {name} {error}"] = None
        if value != environ[name]:
            warnings[f"the environment variable {name} {_WHITE_SPACE}"] = None
        return value

    replaced = _DOLLAR.sub(replace, text)
    if text and not replaced and not errors:
        names = dict.fromkeys(found["name"] for found in _DOLLAR.finditer(text))
        errors.update({f"the environment variable {name} is empty; set it": None for name in names})
    return Interpolated(replaced, tuple(errors), tuple(warnings))


_WHITE_SPACE = (
    "begins or ends with white space or a line break, which is left out here; remove it there"
)


def _find_error(value: str) -> str | None:
    if is_quoted(value):
        return "begins and ends with quotes, as docker --env-file keeps them; remove them"
    if has_control_characters(value):
        return "holds a control character or a line break; remove it"
    return None


def _describe_malformed(name: str | None, *, has_brace: bool) -> str:
    if name:
        return f"the environment variable {name} is not set; set it, or write the value here"
    if has_brace:
        return (
            "holds a '${' that is no ${NAME}; a name has letters, digits and '_', then a '}', "
            "and '$$' writes a dollar"
        )
    return "holds a single '$'; write '$$' for a dollar, or ${NAME} for a variable"
