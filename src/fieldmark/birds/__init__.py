"""What a drawn bird is made of: species, shapes, painting, scene and picture; ``dataset`` writes a folder of them."""
