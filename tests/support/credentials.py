"""Credentials of simulated accounts: examples of ScaleEngine's API pages, and canaries."""

from typing import Final

KEY: Final = "APX4GKLM0RKQLSP2FBO1ROPKSSW47DZE"
SECRET: Final = "8fc8c48da81e6a2a06a9556379bf798af508dc0792497c678b4c3532ba8b637f"

CANARY_KEY: Final = "APX4CANARYKEY2FBO1ROPKSSW47DZE"
"""A key that can be found in any text by the word canary, as the secret below."""
CANARY_SECRET: Final = "canary8c48da81e6a2a06a9556379bf798af508dc0792497c678b4c3532ba8b6"
