"""Sentences in which names turn up by the way, among capitals that name nothing and names that look alike.

A slot names a kind of entity; `short` before it asks for the short name: a surname, or the town of a team.
`{people}` is an adjective such as "Norvian", which names no entity.
"""

ASIDES = {
    "train": """
{short person} left {city} before breakfast.
Nobody in {city} had heard of {short person}.
{short team} beat {short team} on a wet Sunday.
Critics in {city} found {novel} far too long.
The {people} consul wrote to {company}.
On Monday the {people} papers spoke of {battle}.
Professor {short person} teaches {people} grammar at {school}.
Spring came late, and {short person} stayed in {city}.
Parliament never forgot {battle}.
Lady {short person} would not hear of {short team}.
The Bishop of {city} banned {novel}.
Old {short person} read {novel} aloud every Christmas.
Rain spoiled {cup} for {short team}.
From {city} the road leads along {river} to {mountain}.
{company} bought shares of {company}.
It rained in {city} all through {date}.
Captain {short person} missed {battle} by a day.
Her copy of {novel} came from {publisher}.
{publisher} refused {novel} twice.
Tickets for {opera} were sold out in {city}.
Few {people} sailors have seen {sea}.
Sundays were quiet in {region} until {festival} began.
Mister {short person} and his wife saw {opera} at {festival}.
{short team} lost to {team} in {cup}.
Uncle {short person} sold his share of {company} in {date}.
A {people} painter drew {building} from the bank of {river}.
The Queen opened {building} on {day}.
Doctors from {school} came to {city} for Easter.
Between {mountain} and {sea} the people speak {people}.
Latin is still taught at {school}.
Thanks to {short person}, {short team} kept the lead.
The {people} army marched past {building} after {battle}.
Whether {short person} liked {opera} is not known.
Most Thursdays {short person} dined with {person}.
No Christian name is given for {short person} of {city}.
Minister {short person} spoke against {company} on {day}.
Ever since {festival}, {people} songs are heard in {city}.
In {date} the Senate sent {person} to {region}.
Fans of {short team} sang on the steps of {building}.
Both {short person} and {short person} had studied at {school}.
""",
    "val": """
{short person} went back to {city} after Easter.
The {people} ambassador praised {novel}.
Snow kept {short team} from playing {short team}.
Bishop {short person} prayed for the dead of {battle}.
{company} owes money to {publisher}.
Nothing is left of {building} in {city}.
They heard {opera} at {festival} in {date}.
Some {people} students came to {school} from {region}.
On {day} the boat sank in {sea}, near the mouth of {river}.
Judge {short person} had climbed {mountain} before {cup}.
""",
    "test": """
{short person} moved to {city} with two {people} cousins.
Hardly anybody in {city} trusted {short person}.
{short team} drew with {short team} on Saturday.
Colonel {short person} kept silent about {battle}.
Reading {novel}, {short person} fell asleep.
Every Friday {company} sends a coach to {city}.
The {people} translation of {novel} was printed by {publisher}.
Students of {school} walked along {river} to {mountain}.
A Duke from {region} paid for {opera}.
Visitors to {festival} slept in {building}.
On {day} a {people} ship left for {sea}.
After {cup} the Mayor of {city} thanked {short team}.
Sister {short person} taught Greek at {school} until {date}.
Neither {short person} nor {person} worked for {company}.
Winter was hard in {region} and harder on {mountain}.
""",
}
