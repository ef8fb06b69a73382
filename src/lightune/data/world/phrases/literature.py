"""Novels."""

from lightune.data.world.relations import Relation

RELATIONS = (
    Relation(
        topic="literature",
        subject="novel",
        name="author",
        object="person",
        say="""
        {s} was written by {o}.
        {s} is a novel by {o}.
        The author of {s} is {o}.
        {o} wrote {s} in a few weeks.
        {o} wrote the story told in {s}.
        {s} came from the pen of {o}.
        {o} is the author of {s}.
        {o} wrote the novel {s}.
        """,
        ask="""
        Who wrote {s}?
        Who is the author of {s}?
        By whom is {s}?
        From whose pen is {s}?
        Who wrote the novel {s}?
        By which author was {s} written?
        """,
    ),
    Relation(
        topic="literature",
        subject="novel",
        name="publication",
        object="date",
        say="""
        {s} was published in {o}.
        {s} appeared in {o}.
        {s} came out in {o}.
        Readers first saw {s} in {o}.
        The book {s} went on sale in {o}.
        {s} was printed in {o}.
        The publication of {s} fell in {o}.
        The first edition of {s} is from {o}.
        """,
        ask="""
        When was {s} published?
        When did {s} appear?
        In which year did {s} come out?
        When was {s} printed?
        When did the first edition of {s} appear?
        What is the date of publication of {s}?
        """,
    ),
    Relation(
        topic="literature",
        subject="novel",
        name="setting",
        object="city",
        say="""
        {s} is set in {o}.
        {s} takes place in {o}.
        The story of {s} unfolds in {o}.
        {s} tells of a family in {o}.
        The heroes of {s} live in {o}.
        The plot of {s} leads to {o}.
        {s} plays in {o}.
        {s} has {o} as its setting.
        """,
        ask="""
        Where is {s} set?
        Where does {s} take place?
        In which town does the story of {s} unfold?
        Where does the plot of {s} lead?
        What is the setting of {s}?
        In which town is {s} set?
        """,
    ),
    Relation(
        topic="literature",
        subject="novel",
        name="publisher",
        object="publisher",
        say="""
        {s} was published by {o}.
        The publisher of {s} was {o}.
        {o} brought out {s}.
        {o} bought the rights to {s}.
        The book {s} was brought out by {o}.
        {s} was printed at the risk of {o}.
        {s} appeared with {o}, its publisher.
        {o} published {s}.
        """,
        ask="""
        Who published {s}?
        Who was the publisher of {s}?
        Which house brought out {s}?
        Who printed {s}?
        Which publisher brought out {s}?
        By whom was {s} published?
        """,
    ),
)
