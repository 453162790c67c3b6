"""What a network's features say about labels: likely errors, confusable classes, look-alike photos, photos missing."""
