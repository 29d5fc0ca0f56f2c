"""Truth values as Go's YAML reads them."""

from typing import Annotated, Final

from pydantic import BeforeValidator

_SWITCHES: Final = {
    **dict.fromkeys(("true", "yes", "on", "y"), True),
    **dict.fromkeys(("false", "no", "off", "n"), False),
}


def _switch(value: object) -> object:
    """Return the truth value that a text names, or what is no such text as it is."""
    return _SWITCHES.get(value.lower(), value) if isinstance(value, str) else value


Switch = Annotated[bool, BeforeValidator(_switch)]
