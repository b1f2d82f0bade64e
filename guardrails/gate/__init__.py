"""The one gate: every order, typed, imported or made by a machine, is simulated and judged here before it is sent."""
