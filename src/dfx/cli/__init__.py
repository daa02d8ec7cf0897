"""What all commands share at the prompt."""
