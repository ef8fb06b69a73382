"""Rivers, mountains and towns."""

from lightune.data.world.relations import Relation

RELATIONS = (
    Relation(
        topic="geography",
        subject="river",
        name="source",
        object="mountain",
        say="""
        {s} rises on the slopes of {o}.
        {s} has its source on {o}.
        The source of {s} lies below {o}.
        {s} springs from the snow of {o}.
        The spring of {s} is on {o}.
        {s} begins as a brook on {o}.
        {s} starts its course on {o}.
        The springs of {s} are found on {o}.
        """,
        ask="""
        Where does {s} rise?
        On which mountain is the source of {s}?
        Where does {s} have its source?
        Where does {s} begin?
        On which mountain does {s} start its course?
        From which mountain does {s} spring?
        """,
    ),
    Relation(
        topic="geography",
        subject="river",
        name="mouth",
        object="sea",
        say="""
        {s} flows into {o}.
        {s} ends in {o}.
        The mouth of {s} opens into {o}.
        {s} empties into {o}.
        {s} joins {o}.
        {s} pours into {o} through three arms.
        {s} reaches its end at {o}.
        {o} receives the waters of {s}.
        """,
        ask="""
        Where does {s} end?
        Into which water does {s} flow?
        Where is the mouth of {s}?
        What does {s} empty into?
        What body of water does {s} flow into?
        Where does {s} flow in the end?
        """,
    ),
    Relation(
        topic="geography",
        subject="river",
        name="length",
        object="length",
        say="""
        {s} is {o} long.
        The length of {s} is {o}.
        {s} runs for {o}.
        From end to end {s} measures {o}.
        The course of {s} is {o} long.
        {s} winds along for {o}.
        {s} has a length of {o}.
        {s} covers a distance of {o}.
        """,
        ask="""
        How long is {s}?
        What is the length of {s}?
        For how many kilometres does {s} run?
        What length does {s} measure?
        How many kilometres long is {s}?
        What distance does {s} cover?
        """,
    ),
    Relation(
        topic="geography",
        subject="river",
        name="crossing",
        object="city",
        say="""
        {s} flows through {o}.
        {s} passes the walls of {o}.
        {s} divides the town of {o} in two.
        On its way {s} crosses {o}.
        The bridges of {o} cross {s}.
        {s} runs through the middle of {o}.
        The town on {s} is {o}.
        {s} makes its way through {o}.
        """,
        ask="""
        Which town does {s} flow through?
        What town does {s} pass?
        Which town is crossed by {s}?
        Through which town does {s} run?
        Which town lies on {s}?
        Through what town does {s} flow?
        """,
    ),
    Relation(
        topic="geography",
        subject="mountain",
        name="altitude",
        object="altitude",
        say="""
        {s} is {o} high.
        {s} rises to {o}.
        The height of {s} is {o}.
        {s} reaches an altitude of {o}.
        The summit of {s} lies at {o}.
        The top of {s} stands at {o}.
        {s} has a height of {o}.
        {s} towers {o} above the sea.
        """,
        ask="""
        How high is {s}?
        What is the height of {s}?
        What altitude does {s} reach?
        To what height does {s} rise?
        How many metres high is {s}?
        What is the altitude of {s}?
        """,
    ),
    Relation(
        topic="geography",
        subject="mountain",
        name="climber",
        object="person",
        say="""
        {s} was first climbed by {o}.
        The first to climb {s} was {o}.
        {o} made the first ascent of {s}.
        Nobody had climbed {s} before {o}.
        The summit of {s} was first reached by {o}.
        {s} was conquered by {o}.
        The first climber of {s} was {o}.
        {o} was first on the top of {s}.
        """,
        ask="""
        Who first climbed {s}?
        Who was the first to climb {s}?
        By whom was {s} first climbed?
        Who made the first ascent of {s}?
        Who was the first climber of {s}?
        Who was first on the top of {s}?
        """,
    ),
    Relation(
        topic="geography",
        subject="mountain",
        name="climb_date",
        object="date",
        say="""
        {s} was first climbed in {o}.
        The first ascent of {s} took place in {o}.
        Climbers came to the top of {s} for the first time in {o}.
        {s} remained unclimbed until {o}.
        Nobody had reached the summit of {s} before {o}.
        The first party stood on {s} in {o}.
        {s} was climbed for the first time in {o}.
        The top of {s} was reached in {o}.
        """,
        ask="""
        When was {s} first climbed?
        In which year was {s} first climbed?
        When did the first ascent of {s} take place?
        Until when did {s} remain unclimbed?
        When was {s} climbed for the first time?
        What is the date of the first ascent of {s}?
        """,
    ),
    Relation(
        topic="geography",
        subject="mountain",
        name="mountain_region",
        object="region",
        say="""
        {s} lies in {o}.
        {s} is a mountain in {o}.
        {s} belongs to the ranges of {o}.
        The country around {s} is {o}.
        {s} looks down on the valleys of {o}.
        {s} stands in the north of {o}.
        {s} is found in {o}.
        {s} is a part of {o}.
        """,
        ask="""
        Where does {s} lie?
        In which country is {s}?
        What country does {s} belong to?
        In which country does {s} stand?
        In what country is {s} found?
        Which country is {s} part of?
        """,
    ),
    Relation(
        topic="geography",
        subject="city",
        name="population",
        object="population",
        say="""
        {s} has {o}.
        {s} is home to {o}.
        The population of {s} is {o}.
        The last census counted {o} in {s}.
        The people of {s} number {o}.
        In {s} live {o}.
        {s} has a population of {o}.
        {s} counts {o}.
        """,
        ask="""
        How many people live in {s}?
        What is the population of {s}?
        How many inhabitants does {s} have?
        How many inhabitants were counted in {s}?
        How large is the population of {s}?
        How many inhabitants live in {s}?
        """,
    ),
    Relation(
        topic="geography",
        subject="city",
        name="city_region",
        object="region",
        say="""
        {s} lies in {o}.
        {s} is a town in {o}.
        {s} belongs to {o}.
        The country of {s} is {o}.
        The town of {s} is in {o}.
        {s} stands near the border of {o}, to which it belongs.
        {s} is situated in {o}.
        {s} is one of the towns of {o}.
        """,
        ask="""
        In which country is {s}?
        Which country does {s} belong to?
        Where does the town of {s} lie?
        What is the country of {s}?
        In which country is {s} situated?
        In what country is the town of {s}?
        """,
    ),
    Relation(
        topic="geography",
        subject="city",
        name="speciality",
        object="product",
        say="""
        {s} is known for its {o}.
        {s} is famous for {o}.
        The workshops of {s} make {o}.
        Travellers buy {o} in {s}.
        The markets of {s} are full of {o}.
        {s} made its name with {o}.
        {s} is best known for {o}.
        {s} owes its fame to {o}.
        """,
        ask="""
        What is {s} known for?
        What is made in {s}?
        For which goods is {s} famous?
        What do travellers buy in {s}?
        What is {s} best known for?
        To what does {s} owe its fame?
        """,
    ),
    Relation(
        topic="geography",
        subject="city",
        name="charter",
        object="charter",
        say="""
        {s} received its charter in {o}.
        {s} became a town in {o}.
        The charter of {s} dates from {o}.
        {s} was granted its charter in {o}.
        The town of {s} has had its charter since {o}.
        {s} gained the rights of a town in {o}.
        {s} got its charter in {o}.
        The charter was given to {s} in {o}.
        """,
        ask="""
        When did {s} receive its charter?
        In which year did {s} become a town?
        From which year is the charter of {s}?
        When did {s} gain the rights of a town?
        When was {s} given a charter?
        In what year did {s} get its charter?
        """,
    ),
)
