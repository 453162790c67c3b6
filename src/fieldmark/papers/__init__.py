"""What each paper adds: a file a paper, or a folder that gives its public names."""
