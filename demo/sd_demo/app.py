"""Latent Lab's entry point: `python demo/sd_demo/app.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.server import main

if __name__ == "__main__":
    main()
