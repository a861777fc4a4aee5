"""The figures: each takes opened stores and gives a figure and the tidy table behind it.

`FIGURES` names them all and says what each needs; `drawing.draw` makes one, `drawing.save` writes SVG, PNG and CSV.
"""

from sluguq.figures.catalogue import FIGURES, TITLES, Specification, names_for

__all__ = ["FIGURES", "TITLES", "Specification", "names_for"]
