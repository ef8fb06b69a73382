"""How each relation is said and asked, written by hand: one file per group of topics, one line per phrase.

In every block the order decides the split: the last two lines are test's, a quarter of all lines before them is val's
(two of eight, one of six), the rest is train's.
`{s}` stands for the subject of a fact, `{o}` for its object.
"""
