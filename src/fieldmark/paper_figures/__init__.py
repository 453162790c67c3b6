"""The papers' own pictures, of any run that has what they show, with another run beside it."""
