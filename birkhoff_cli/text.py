"""Text from a file or a command line, made safe to show."""


def escape(text: object) -> str:
    """One line that no terminal acts upon: control characters and lone surrogates as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
