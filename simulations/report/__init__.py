"""The report of a simulation: one page that stands alone, charts as SVG made by small pure functions."""
