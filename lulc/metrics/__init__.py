"""How well two maps agree, how honest probabilities are, and what a sample says about areas: numbers from numbers."""
