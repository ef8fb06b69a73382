"""Buildings."""

from lightune.data.world.relations import Relation

RELATIONS = (
    Relation(
        topic="architecture",
        subject="building",
        name="architect",
        object="person",
        say="""
        {s} was designed by {o}.
        The architect of {s} was {o}.
        {o} drew the plans of {s}.
        {s} is a design of {o}.
        The plans for {s} were made by {o}, an architect.
        {s} follows the drawings of {o}.
        {o} designed {s}.
        {o} was the architect of {s}.
        """,
        ask="""
        Who designed {s}?
        Who was the architect of {s}?
        Who drew the plans of {s}?
        Whose drawings does {s} follow?
        By whom was {s} designed?
        Which architect drew {s}?
        """,
    ),
    Relation(
        topic="architecture",
        subject="building",
        name="completion",
        object="date",
        say="""
        {s} was completed in {o}.
        {s} was finished in {o}.
        The work on {s} ended in {o}.
        {s} was opened in {o}.
        The last stone of {s} was laid in {o}.
        {s} was ready in {o}.
        The builders finished {s} in {o}.
        The completion of {s} was celebrated in {o}.
        """,
        ask="""
        When was {s} completed?
        In which year was {s} finished?
        When did the work on {s} end?
        When was {s} ready?
        When did the builders finish {s}?
        What is the date of completion of {s}?
        """,
    ),
    Relation(
        topic="architecture",
        subject="building",
        name="material",
        object="material",
        say="""
        {s} is built of {o}.
        {s} is made of {o}.
        The walls of {s} consist of {o}.
        For {s} the masons used {o}.
        The builders of {s} worked with {o}.
        {s} was put up in {o}.
        {s} was constructed from {o}.
        The building material of {s} is {o}.
        """,
        ask="""
        What is {s} built of?
        What is {s} made of?
        Of what do the walls of {s} consist?
        What did the masons use for {s}?
        Of which material is {s} built?
        What was {s} constructed from?
        """,
    ),
    Relation(
        topic="architecture",
        subject="building",
        name="height",
        object="height",
        say="""
        {s} is {o} tall.
        {s} rises {o}.
        The height of {s} is {o}.
        {s} reaches {o} into the sky.
        From base to roof {s} is {o} high.
        {s} measures {o} from ground to roof.
        {s} has a height of {o}.
        {s} stands {o} high.
        """,
        ask="""
        How tall is {s}?
        What is the height of {s}?
        How many feet does {s} rise?
        What does {s} measure from ground to roof?
        How many feet high is {s}?
        How many feet tall is {s}?
        """,
    ),
    Relation(
        topic="architecture",
        subject="building",
        name="patron",
        object="person",
        say="""
        {s} was paid for by {o}.
        {o} paid for {s}.
        The money for {s} came from {o}.
        {s} was a gift of {o}.
        The builders of {s} were paid by {o}.
        {s} stands thanks to the purse of {o}.
        The costs of {s} were paid by {o}.
        {o} gave the money for {s}.
        """,
        ask="""
        Who paid for {s}?
        From whom came the money for {s}?
        Whose gift was {s}?
        Whose purse made {s} possible?
        By whom were the costs of {s} paid?
        Who gave the money for {s}?
        """,
    ),
)
