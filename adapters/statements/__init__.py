"""Statement and price files: what a broker or the user wrote down, into a View.

`StatementSource` is what the engine asks; `read_statement` reads once; `read_prices` and `apply_prices` add the user's
own prices. No file is trusted: size, encoding, format and every row are checked, and nothing but SourceError leaves
this room.
"""

from adapters.statements.prices import Prices, apply_prices, read_prices
from adapters.statements.reader import read_statement
from adapters.statements.source import StatementSource

__all__ = ["Prices", "StatementSource", "apply_prices", "read_prices", "read_statement"]
