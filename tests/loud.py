"""`streamlit` with every logger at DEBUG, those of the libraries too: `python -m tests.loud run app.py`."""

from __future__ import annotations

import logging
import sys

from guardrails import redaction

if __name__ == "__main__":
    redaction._CHATTERS = ()  # else they would be quiet
    logging.getLogger().setLevel(logging.DEBUG)
    sys.argv[0] = "streamlit"
    from streamlit.web.cli import main

    main()
