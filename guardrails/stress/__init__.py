"""What the book would be worth: full revaluation of every position under shocks of the market.

Portfolio -> Book (columns to revalue) -> moves of a Shock -> unit prices -> Outcome (dollars, as intervals)
"""
