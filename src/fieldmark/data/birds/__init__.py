"""What a drawn bird is made of: species, shapes, coats, scene and the picture itself (see ``fieldmark.data.drawn``)."""
