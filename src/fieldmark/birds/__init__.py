"""What a drawn bird is made of: species, shapes, coats, scene and picture; ``dataset`` writes a folder of them."""
