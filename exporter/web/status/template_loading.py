"""The templates of the status page: compiled when the package is built, or else when they are used.

To compile them takes longer than to render the page. ``python -m
exporter.web.status.template_loading FOLDER`` compiles them; the build of the wheel runs it.
"""

import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    ModuleLoader,
    StrictUndefined,
)

from exporter.web.status import sparkline, wording

TEMPLATES: Final = Path(__file__).with_name("templates")
COMPILED: Final = Path(__file__).with_name(
    f"templates_for_jinja2_{re.sub(r'[^0-9A-Za-z]', '_', version('jinja2'))}"
)
"""Where the compiled templates are. Another version of jinja2 may not be able to run them.

The name is that of a package, as tools for wheels expect of a folder with modules.
"""

_FILTERS: Final = {
    "bytes": wording.format_bytes,
    "number": wording.format_number,
    "change": wording.format_change,
    "share": wording.format_share,
    "duration": wording.format_duration,
    "age": wording.format_age,
    "until": wording.format_until,
    "time": wording.format_time,
    "name": wording.format_name,
    "names": wording.format_names,
    "sentence": wording.format_sentence,
    "visible": wording.make_visible,
    "sparkline": sparkline.build_sparkline,
}


def find_loader() -> BaseLoader:
    """Return the loader of the compiled templates, and of the sources of those that are missing.

    Where a template is compiled, a change of its source has no effect.
    """
    return ChoiceLoader([ModuleLoader(COMPILED), FileSystemLoader(TEMPLATES)])


def build_environment(loader: BaseLoader) -> Environment:
    """Return the environment that renders the templates of a loader."""
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(_FILTERS)
    return environment


def compile_templates(folder: Path) -> None:
    """Write each template as a module into a folder below this one, named as ``COMPILED`` is."""
    build_environment(FileSystemLoader(TEMPLATES)).compile_templates(
        folder / COMPILED.name, extensions=["html"], zip=None, ignore_errors=False
    )


if __name__ == "__main__":
    compile_templates(Path(sys.argv[1]))
