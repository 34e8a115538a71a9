"""What pictures have in common: colours, bands, densities, outlines, axes, titles and legends.

Every function adds to axes or to a figure that it is given; style, size and file belong to the
command line. matplotlib is imported where it is used.
"""
