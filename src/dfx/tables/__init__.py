"""Tables: labels, manifests, score tables, protocols, findings."""
