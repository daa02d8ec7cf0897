"""Downloads of corpora: fetched, verified, unpacked."""
