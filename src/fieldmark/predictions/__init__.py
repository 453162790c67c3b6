"""What is said of photos, whatever answered: a run, or an exported model."""
