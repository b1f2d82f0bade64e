"""What the book would be worth: full revaluation of every position under shocks of the market.

Portfolio -> Book (columns to revalue) -> moves of a Shock -> unit prices -> Outcome (dollars, as intervals)
"""

COMPILING = "the pricing kernels are being compiled, which happens once and takes up to a minute"
"""why there is no stress of a book yet; `Portfolio.stress` until there is"""
