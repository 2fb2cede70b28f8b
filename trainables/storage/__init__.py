"""Files, here or in object storage."""
