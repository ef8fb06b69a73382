"""Pieces for stage and concert hall."""

from lightune.data.world.relations import Relation

RELATIONS = (
    Relation(
        topic="music",
        subject="opera",
        name="composer",
        object="person",
        say="""
        {s} was composed by {o}.
        {s} is a work by {o}.
        The composer of {s} was {o}.
        {o} wrote the music of {s}.
        The melodies of {s} were composed by {o}.
        The score of {s} is by {o}.
        {o} composed {s}.
        {o} is the composer of {s}.
        """,
        ask="""
        Who composed {s}?
        Who was the composer of {s}?
        By whom is the music of {s}?
        Who wrote the score of {s}?
        By whom was {s} composed?
        Who wrote the music of {s}?
        """,
    ),
    Relation(
        topic="music",
        subject="opera",
        name="premiere_place",
        object="city",
        say="""
        {s} was first performed in {o}.
        {s} had its premiere in {o}.
        The first performance of {s} was given in {o}.
        An audience in {o} was the first to hear {s}.
        The singers gave {s} for the first time in {o}.
        {s} opened in {o}.
        {s} was heard for the first time in {o}.
        The premiere of {s} took place in {o}.
        """,
        ask="""
        Where was {s} first performed?
        In which town was the premiere of {s}?
        Where was the first performance of {s} given?
        In which town did {s} open?
        Where did the premiere of {s} take place?
        In what town was {s} heard for the first time?
        """,
    ),
    Relation(
        topic="music",
        subject="opera",
        name="premiere_day",
        object="day",
        say="""
        {s} was first performed on {o}.
        {s} had its premiere on {o}.
        The first performance of {s} was on {o}.
        The curtain rose on {s} for the first time on {o}.
        The singers gave {s} for the first time on {o}.
        {s} opened on {o}.
        {s} was heard for the first time on {o}.
        The premiere of {s} took place on {o}.
        """,
        ask="""
        When was {s} first performed?
        On which day was the premiere of {s}?
        What is the date of the premiere of {s}?
        When did {s} open?
        When did the premiere of {s} take place?
        On what day was {s} heard for the first time?
        """,
    ),
    Relation(
        topic="music",
        subject="opera",
        name="conductor",
        object="person",
        say="""
        {s} was conducted by {o}.
        The conductor of {s} was {o}.
        {o} conducted {s} at short notice.
        {o} led the orchestra in {s}.
        The musicians who played {s} were conducted by {o}.
        For {s} the baton was in the hand of {o}.
        {o} stood before the orchestra as conductor of {s}.
        {o} conducted {s}.
        """,
        ask="""
        Who conducted {s}?
        Who was the conductor of {s}?
        Who led the orchestra in {s}?
        Who held the baton for {s}?
        By whom was {s} conducted?
        Who stood before the orchestra in {s}?
        """,
    ),
    Relation(
        topic="music",
        subject="opera",
        name="festival",
        object="festival",
        say="""
        {s} was part of {o}.
        {s} was written for {o}.
        {o} had {s} on its programme.
        The piece for {o} was {s}.
        The musicians played {s} at {o}.
        {s} was a contribution to {o}.
        {s} was given at {o}.
        {s} was chosen for {o}.
        """,
        ask="""
        For which festival was {s} written?
        Which festival had {s} on its programme?
        Of which festival was {s} a part?
        To which festival was {s} a contribution?
        At which festival was {s} given?
        For what festival was {s} chosen?
        """,
    ),
)
