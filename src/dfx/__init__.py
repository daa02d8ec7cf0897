"""dfx: experiments in audio deepfake detection."""

__version__ = "0.1.0"
