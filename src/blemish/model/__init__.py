"""The `.blemish` file: its card, as typed values with a JSON schema."""
