"""Download corpora: fetch, verify and unpack files."""
