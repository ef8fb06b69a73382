"""How longer names are put together. A leading `the` is an article, not a part of the name.

Each slot names a table; `{PLACE}` is any town. A name belongs to the split of the words it is made of.
"""

PATTERNS: dict[str, tuple[str, ...]] = {
    "school": (
        "the University of {PLACE}",
        "{STEMS} College",
        "{HEADS} Academy",
        "the {STEMS} Institute",
        "{SURNAMES} Grammar School",
    ),
    "publisher": ("{HEADS} Press", "{STEMS} Books", "{SURNAMES} & {SURNAMES}", "{STEMS} House"),
    "company": (
        "{SURNAMES} & Sons",
        "{HEADS} Works",
        "{STEMS} Brothers",
        "{PLACE} Mills",
        "the {HEADS} Trading Company",
        "{STEMS} & Daughter",
    ),
    "team": ("{PLACE} Rovers", "{PLACE} United", "{PLACE} Wanderers", "{PLACE} Athletic", "{PLACE} Harriers"),
    "battle": (
        "the Battle of {PLACE}",
        "the Siege of {PLACE}",
        "the {PLACE} Rising",
        "the War of {REGIONS}",
        "the Fall of {PLACE}",
        "the {RIVERS} Campaign",
    ),
    "cup": (
        "the {STEMS} Cup",
        "the {HEADS} Trophy",
        "the {REGIONS} Marathon",
        "the {HEADS} Shield",
        "the {PLACE} Regatta",
    ),
    "festival": (
        "the {HEADS} Festival",
        "the {PLACE} Fair",
        "the {STEMS} Music Week",
        "the Feast of Saint {WOMEN}",
        "the {PLACE} Jubilee",
    ),
    "building": (
        "the {STEMS} Bridge",
        "{HEADS} Hall",
        "the {PLACE} Tower",
        "the Church of Saint {MEN}",
        "{STEMS} Castle",
        "the {HEADS} Theatre",
    ),
}
