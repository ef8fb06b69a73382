"""Titles of novels and of pieces for the stage and the concert hall."""

NOVELS = """
A Garden Under Glass|A House Without Doors|A Ladder for the Moon|A Pocketful of Rain|A Quarrel of Ravens|
After the Harvest|All the Quiet Rooms|An Orchard in Winter|Ashes and Honey|Before the Thaw|Beyond the Weir|
Blue Thread|Borrowed Sundays|Bread and Candles|Chalk|Cold Supper|Daughters of the Ferryman|Driftwood|Eleven Bridges|
Every Second Tuesday|Farewell to the Mill|Five Candles|Half a Kingdom|Harbour Lights|High Water|In Praise of Foxes|
Inland|Kindling|Last Train to Midsummer|Letters to a Lighthouse|Lilac and Lead|Little Fires|Low Tide|
Mothers of Invention|Night Boat|Nine Winters|No Room for Swans|October|On Thin Ice|Only the Gardener Knew|Paper Sons|
Quicksilver|Salt and Smoke|Seven Locks|Small Mercies|Sparrows at Noon|Spring Tide|The Apothecary|The Ash Heir|
The Beekeeper's Debt|The Blind Mapmaker|The Clockmaker's Niece|The Counterfeit Bishop|The Dry Well|The Empty Chair|
The Glass Latch|The Hollow Year|The Inkmaker|The Last Toll|The Long Field|The Lower Road|The Miser of May|
The Salt Road|The Second Widow|The Silent Piano|The Tin Crown|The Unlit Street|The Weather House|The Wooden Horse|
Thirteen Steps|Three Miles to Morning|Tomorrow|Under the Viaduct|What the River Kept|White Gloves|Without a Map
""".replace("\n", "").split("|")

OPERAS = """
A Feast for Rooks|A Midwinter Mass|Ariadne's Thread|At the Gates|Autumn Rondo|Bells over Water|Black Swan Suite|
Cradle Songs|Dawn Chorus|Echo and the Shepherd|Evening Canticles|Fire in the Vineyard|Four Sacred Dances|
Funeral for a Sparrow|Harvest Cantata|Hymn to the Sea|Lament of the Weavers|Moonlit Serenade|Night on the Moor|
Ode to Thunder|Orpheus in Exile|Pastorale in Green|Psalms of the Valley|Queen of the Fens|Requiem for a Miller|
River Songs|Scenes from a Fair|Song of the Lamplighter|Spring Overture|Stabat in Stone|The Beggar Prince|
The Blue Carnival|The Changeling|The Enchanted Forge|The False Count|The Fisher King's Bride|The Glass Swan|
The Gilded Donkey|The Harp of Iron|The King's Fool|The Lost Shepherdess|The Magic Loom|The Marble Guest|
The Masked Miller|The Miller's Wedding|The Moth and the Flame|The Nightingale's Oath|The Painted Bird|
The Puppet Master|The Rose Thief|The Snow Bride|The Stolen Crown|The Two Sisters|The Village Judge|
Three Winter Pieces|Voices of the Deep|Waltz of the Leaves|Wind Quintet in Grey
""".replace("\n", "").split("|")
