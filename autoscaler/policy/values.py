"""Kinds of values: what may be written in a key, with its bounds, and the sentence that says so.

A kind reads a text (`parse`), tells a user what is allowed (`allowed`), and says whether a value that comes from
elsewhere, such as a recording, lies within its bounds (`holds`).
"""

from __future__ import annotations

from autoscaler.policy.amounts import Duration, Fraction, Number, Percentage, Quantity, WholeNumber
from autoscaler.policy.words import Boolean, Choice, HeaderName, Name

Value = bool | int | float | str

Kind = Duration | WholeNumber | Number | Fraction | Percentage | Boolean | Choice | HeaderName | Quantity | Name
