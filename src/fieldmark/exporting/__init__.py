"""From a run to a model that answers without torch."""
