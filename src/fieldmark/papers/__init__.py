"""What each paper adds, one file a paper."""
