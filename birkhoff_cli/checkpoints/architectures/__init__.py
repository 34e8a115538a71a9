"""Architectures in GGUF: one file = what one converter, or several alike, make of one format.

A member has constants and no code: ``ARCHITECTURES``, words of ``general.architecture``, written
out on one line; ``FORMAT``, the format of `birkhoff_cli.checkpoints` whose mathematics it has;
``TENSORS``, patterns of names in a file, without ``.weight``, and the format's names for them;
``CONFIG``, what the format's ``config.json`` would say; ``KEYS``, the file's keys behind its
architecture and their names in that ``config.json``. ``ABOUT`` is a sentence, if there is
something to be said.
"""
