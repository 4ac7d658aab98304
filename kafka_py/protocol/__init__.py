"""Kafka's wire protocol and record schemas: one typed table, and codecs compiled from it.

Reading order: `fetch` (what a table looks like), `schema` (the language), `decoding` and `encoding`
(what makes it fast), `registry` (which APIs there are), `framing` (from bytes to requests and
back), `records` (schemas inside log records). Nothing here does input or output.
"""
