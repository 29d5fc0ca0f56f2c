"""`${NAME}` in a text is taken from the environment; `$$` is a dollar."""

import re
from collections.abc import Mapping

NAME = "[A-Za-z_][A-Za-z0-9_]*"

_DOLLAR = re.compile(rf"\$(?:(?P<dollar>\$)|\{{(?P<name>{NAME})\}}|(?P<brace>\{{))?")


def substitute(text: str, environ: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Give the text with its variables filled in, and a sentence for each mistake in it.

    The sentences name variables, never the text: it may hold a secret.
    What a variable holds is taken as it is, dollars too.
    """
    mistakes: dict[str, None] = {}

    def fill(found: re.Match[str]) -> str:
        name = found["name"]
        if found["dollar"]:
            return "$"
        if name and name in environ:
            return environ[name]
        mistakes[_sentence(name, has_brace=bool(found["brace"]))] = None
        return ""

    return _DOLLAR.sub(fill, text), tuple(mistakes)


def _sentence(name: str | None, *, has_brace: bool) -> str:
    if name:
        return f"the environment variable {name} is not set; set it, or write the value here"
    if has_brace:
        return (
            "holds a '${' that is no ${NAME}; a name has letters, digits and '_', then a '}', "
            "and '$$' writes a dollar"
        )
    return "holds a single '$'; write '$$' for a dollar, or ${NAME} for a variable"
