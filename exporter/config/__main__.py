"""``python -m exporter.config`` writes the JSON Schema after a change to the model."""

from pathlib import Path

from exporter.config.writing import format_config_schema


def write_schema(file: Path) -> None:
    """Write the schema to a file."""
    file.write_text(format_config_schema(), encoding="utf-8")


if __name__ == "__main__":
    write_schema(Path(__file__).with_name("schema.json"))
