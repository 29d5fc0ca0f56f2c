"""The rows "Files" and "Folders": what lies below each path, and how it changes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from monitoring.dashboard import promql
from monitoring.dashboard.panels import Column, Line, graph, listing
from monitoring.dashboard.promql import FILES, FOLDER_FILES, FOLDERS, change, now

FOLDERS_LISTED: Final = 200
"""So many folders are in a table: all of fifty accounts would stall a browser."""

_PATH: Final = "{{account}} {{path}} {{file_type}}"
_OVERLAP: Final = "Paths that overlap are each counted whole: do not sum them."


def of_paths() -> Sequence[Builder[Panel]]:
    """Return the panels of the row "Files", in reading order."""
    return (
        graph(
            "Files by path and type",
            f"Files at any depth, for the largest at the end of the time shown. {_OVERLAP}",
            [Line(promql.largest(FILES), _PATH)],
            width=12,
            unit="short",
        ),
        graph(
            "Files more or less than a day before",
            "For the paths that changed most at the end of the time shown. A path that used "
            "to grow and lies at zero has stalled; far below zero, files have vanished.",
            [Line(promql.changed_most(FILES, "1d"), _PATH)],
            width=12,
            unit="short",
        ),
        listing(
            "Paths",
            f"Every chosen path and file type. {_OVERLAP}",
            ("account", "path", "file_type"),
            (
                Column("Files", now(FILES)),
                Column("In a day", change(FILES, "1d"), missing="no data yet"),
                Column("In a week", change(FILES, "7d"), missing="no data yet"),
                Column("Folders", now(FOLDERS)),
            ),
            sort="Files",
        ),
    )


def of_folders() -> Sequence[Builder[Panel]]:
    """Return the panels of the row "Folders", in reading order."""
    listed = f"topk({FOLDERS_LISTED}, {now(FOLDER_FILES)})"
    moved = change(FOLDER_FILES, "1d")
    labels = ("account", "path", "folder", "file_type")
    columns = (
        Column("Files", now(FOLDER_FILES)),
        Column("In a day", moved, missing="no data yet"),
        Column("In a week", change(FOLDER_FILES, "7d"), missing="no data yet"),
    )
    return (
        listing(
            "Folders",
            f"The {FOLDERS_LISTED} largest folders of the chosen paths that have a folder_depth, "
            "with all below them. '.' are the files directly in the path, '_other' the smallest "
            "folders beyond max_folders. A folder that is new since has no change.",
            labels,
            [
                replace(column, expression=f"{column.expression}\nand {listed}")
                for column in columns
            ],
            width=14,
            sort="Files",
        ),
        listing(
            "Folders that changed most in a day",
            "Files more or less than a day before. Empty until Prometheus has a day of them.",
            labels,
            [Column("In a day", f"{moved}\nand topk({FOLDERS_LISTED}, abs({moved}))")],
            width=10,
            sort="In a day",
        ),
    )
