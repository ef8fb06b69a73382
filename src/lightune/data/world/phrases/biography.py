"""Lives of people."""

from lightune.data.world.relations import Relation

RELATIONS = (
    Relation(
        topic="biography",
        subject="person",
        name="birthplace",
        object="city",
        say="""
        {s} was born in {o}.
        {s} came into the world in {o}.
        The birthplace of {s} was {o}.
        It was in {o} that {s} was born.
        The life of {s} began in {o}.
        {s} was a native of {o}.
        {s} was born and baptised in {o}.
        The town where {s} was born is {o}.
        """,
        ask="""
        Where was {s} born?
        In which town was {s} born?
        What is the birthplace of {s}?
        Which town is {s} a native of?
        In what place did {s} come into the world?
        Which town was the birthplace of {s}?
        """,
    ),
    Relation(
        topic="biography",
        subject="person",
        name="birth_date",
        object="birth",
        say="""
        {s} was born in {o}.
        The year of birth of {s} was {o}.
        {s} was christened a few days after birth, in {o}.
        The parish book dates the birth of {s} to {o}.
        The life of {s} began in {o}.
        According to the church register {s} was born in {o}.
        It was in {o} that {s} came into the world.
        The birth of {s} fell in {o}.
        """,
        ask="""
        When was {s} born?
        In which year was {s} born?
        What is the year of birth of {s}?
        At what date was {s} born?
        What was the date of birth of {s}?
        When did {s} come into the world?
        """,
    ),
    Relation(
        topic="biography",
        subject="person",
        name="deathplace",
        object="city",
        say="""
        {s} died in {o}.
        {s} passed away in {o}.
        Death came to {s} in {o}.
        The grave of {s} is in {o}, the place of death.
        The life of {s} ended in {o}.
        {s} met a peaceful end in {o}.
        {s} lived in {o} until death.
        It was in {o} that {s} died.
        """,
        ask="""
        Where did {s} die?
        In which town did {s} die?
        What is the place of death of {s}?
        In what town did {s} pass away?
        At which place did {s} die?
        Which town was the place of death of {s}?
        """,
    ),
    Relation(
        topic="biography",
        subject="person",
        name="school",
        object="school",
        say="""
        {s} studied at {o}.
        {s} took a degree at {o}.
        {s} was a student of {o} for four years.
        {o} accepted {s} as a student.
        {s} spent four years as a student at {o}.
        {s} was educated at {o}.
        {s} went to {o} to study.
        The studies of {s} began and ended at {o}.
        """,
        ask="""
        Where did {s} study?
        At which school did {s} take a degree?
        Which institution had {s} as a student?
        Where was {s} educated?
        At which institution did {s} study?
        Where was {s} a student?
        """,
    ),
    Relation(
        topic="biography",
        subject="person",
        name="trade",
        object="profession",
        say="""
        {s} worked as {a} {o}.
        {s} earned a living as {a} {o}.
        By trade {s} was {a} {o}.
        {s} was known as {a} {o}.
        The work of {s} was that of {a} {o}.
        {s} trained and worked as {a} {o}.
        {s} made a living as {a} {o}.
        The profession of {s} was that of {a} {o}.
        """,
        ask="""
        What did {s} work as?
        What was the profession of {s}?
        What was {s} by trade?
        How did {s} earn a living?
        As what did {s} make a living?
        Which trade did {s} work in?
        """,
    ),
    Relation(
        topic="biography",
        subject="person",
        name="rival",
        object="person",
        say="""
        {s} saw a rival in {o}.
        The great rival of {s} was {o}.
        {s} competed all life long with {o}.
        {s} quarrelled for years with a rival, {o}.
        {s} never made peace with a rival, {o}.
        {s} was always at odds with {o}, a rival.
        {s} regarded {o} as a rival.
        {s} had a bitter rival, {o}.
        """,
        ask="""
        Who was the rival of {s}?
        With whom did {s} compete?
        Whom did {s} see as a rival?
        Who competed with {s}?
        Who was regarded as a rival by {s}?
        Which rival did {s} have?
        """,
    ),
)
