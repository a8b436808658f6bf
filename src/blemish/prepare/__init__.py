"""From plates and scribbles to patches and masks."""
