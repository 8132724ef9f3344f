"""Docstrings as the parser of the API reference knows them."""

from griffe import Extension, Object


class Examples(Extension):
    """Takes the section Example: for Examples:, the only one that the parser has."""

    def on_object(self, *, obj: Object, **kwargs: object) -> None:  # noqa: ARG002
        """Renames the section."""
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
