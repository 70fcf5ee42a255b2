"""What the HTML pages share: one file that needs nothing else, in one look, replaced at once or not at all."""

from collections.abc import Callable, Mapping
from pathlib import Path

import jinja2

from components.pusher.durable_files import replace_durably, storage_errors


def load_template(name: str, filters: Mapping[str, Callable[..., str]]) -> jinja2.Template:
    """A template beside this file; `count` and `px` are filters of all of them."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=lambda number: f"{number:,}", px="{:.1f}".format, **filters)
    return environment.get_template(name)


def write_html(html: str, path: Path) -> None:
    """Writes a page; a reader sees the old file or the new one.

    Raises:
      StorageError: if it cannot be written.
    """
    content = html.encode(errors="backslashreplace")
    with storage_errors(path, len(content)):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_durably(path, content)
