"""What a classifier is, what a method and a term are, and how a recipe becomes them."""
