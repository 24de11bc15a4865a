"""damo's files and lines: JSON, YAML, command lines, records, both ways."""
