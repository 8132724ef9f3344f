"""A mean structure and principal components: the simplest generator, in closed form."""
