"""The page about a model: figures, meanings, numbers, sites, and the HTML they stand in."""
