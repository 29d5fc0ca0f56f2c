"""Write the dashboard for Grafana, made of the rows beside this file, as `dashboard.json`."""

from pathlib import Path

from monitoring.dashboard.board import as_json

FILE = Path(__file__).parents[1] / "dashboard.json"

if __name__ == "__main__":
    FILE.write_text(as_json(), encoding="utf-8")
