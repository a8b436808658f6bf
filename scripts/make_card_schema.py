"""Write the JSON schema of a model's card, which the package ships, from its dataclasses."""

from __future__ import annotations

import json
from pathlib import Path

import blemish.model
from blemish.model.card import SCHEMA_FILE, card_schema

if __name__ == "__main__":
    path = Path(blemish.model.__file__).with_name(SCHEMA_FILE)
    path.write_text(json.dumps(card_schema(), indent=1) + "\n", encoding="utf-8")
    print(path)
