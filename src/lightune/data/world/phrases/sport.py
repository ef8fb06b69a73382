"""Teams."""

from lightune.data.world.relations import Relation

RELATIONS = (
    Relation(
        topic="sport",
        subject="team",
        name="coach",
        object="person",
        say="""
        {s} was coached by {o}.
        The coach of {s} was {o}.
        {s} hired {o} as coach.
        {o} trained {s} for two seasons.
        The players of {s} were trained by {o}.
        {s} learned its game from {o}, the trainer.
        {o} was the coach of {s}.
        {o} coached {s}.
        """,
        ask="""
        Who coached {s}?
        Who was the coach of {s}?
        Whom did {s} hire as coach?
        Who was the trainer of {s}?
        By whom was {s} coached?
        Which coach did {s} have?
        """,
    ),
    Relation(
        topic="sport",
        subject="team",
        name="captain",
        object="person",
        say="""
        {s} was captained by {o}.
        The captain of {s} was {o}.
        {s} chose {o} as captain.
        {o} led {s} onto the field as captain.
        The players of {s} were led by {o}, the captain.
        {s} had {o} for its captain on the pitch.
        {o} was the captain of {s}.
        {o} captained {s}.
        """,
        ask="""
        Who captained {s}?
        Who was the captain of {s}?
        Whom did {s} choose as captain?
        Whom did {s} have for its captain?
        By whom was {s} captained?
        Which captain did {s} have?
        """,
    ),
    Relation(
        topic="sport",
        subject="team",
        name="cup",
        object="cup",
        say="""
        {s} won {o}.
        {s} took the title in {o}.
        The winner of {o} was {s}.
        {s} was unbeaten in {o}.
        The players of {s} won {o}.
        {s} came first in {o}.
        {s} was the champion of {o}.
        {o} was won by {s}.
        """,
        ask="""
        What did {s} win?
        Which competition did {s} win?
        In which competition did {s} take the title?
        In which competition did {s} come first?
        Of which competition was {s} the champion?
        Which cup was won by {s}?
        """,
    ),
    Relation(
        topic="sport",
        subject="team",
        name="club_foundation",
        object="date",
        say="""
        {s} was founded in {o}.
        {s} has existed since {o}.
        {s} played its first match in {o}.
        The foundation of {s} goes back to {o}.
        The first players joined {s} at its foundation in {o}.
        {s} came into being in {o}.
        {s} was formed in {o}.
        {s} was set up in {o}.
        """,
        ask="""
        When was {s} founded?
        Since when has {s} existed?
        In which year was {s} founded?
        When did {s} come into being?
        When was {s} formed?
        When was {s} set up?
        """,
    ),
)
