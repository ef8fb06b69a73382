"""Names of regions, rivers, mountains and waters, and the peoples of other countries."""

REGIONS = """
Anselm Arvenia Baltria Belmarch Borvia Calmoria Carsia Corvana Dalmere Dorrania Drenland Elvania Estmark Fallmark
Ferrania Galdia Gorrania Harmonia Hestria Ithria Jorland Kalvia Kesteria Lorvia Lusania Marvania Meldonia Morania
Nordmark Norvia Oberland Orlandia Ostria Pelagia Quentia Rothmark Ruvenia Savaria Selvania Sorland Tarvia Torvania
Ulmark Valdoria Vestmark Wendland Westria Zelandia
""".split()

RIVERS = """
Alune Arrin Ashwater Avel Bourne Brae Carrick Cindle Corrie Dart Dovel Eddern Elver Esk Fallow Ferrin Fleet Garrow
Glane Heddle Irwell Ister Kennet Kyle Lorne Lunn Marrin Meddle Mosel Neth Orrin Ouzel Parrin Quill Rill Rother
Sarn Severin Silvern Tarn Teviot Thrush Tolm Ure Velm Wend Wharrel Yare
""".split()

MOUNTAINS = """
Adlerspitz|Arran Peak|Barren Top|Bell Fell|Black Pike|Cairn Moss|Cloudstone|Cold Fell|Crow Crag|Dome Hill|
Dragon Tooth|Eagle Crag|Eldhorn|Falkenstein|Giant Stair|Glass Peak|Grey Sister|Hawk Fell|Hornblende|Ice Crown|
Iron Fell|Kettle Top|King Tor|Lone Peak|Maiden Tor|Mount Aster|Mount Brisk|Mount Corra|Mount Dessa|Mount Elga|
Mount Fane|Mount Gorse|Mount Hesper|Mount Ilva|Mount Jessen|Mount Kell|Mount Lorrow|Mount Mirren|Needle Rock|
Old Man Fell|Pilgrim Tor|Raven Pike|Red Comb|Saddle Top|Silberhorn|Storm Pike|Thunder Tor|White Horn|Wolf Fell|
Yellow Comb
""".replace("\n", "").split("|")

SEAS = """
the Amber Sea|the Bay of Ardent|the Bay of Crows|Bitter Lake|the Cobalt Sea|the Copper Gulf|the Coral Sound|
the Gulf of Arden|the Gulf of Salt|the Herring Sea|Lake Aven|Lake Brennan|Lake Corvin|Lake Dunlin|Lake Evern|
Lake Farin|Lake Gellan|Lake Hirsel|Lake Illmer|Lake Joss|the Long Sound|Mirror Lake|the Narrow Sea|
the Northern Gulf|the Pearl Bay|the Quiet Sea|Reed Lake|the Sea of Cinders|the Sea of Larn|the Sea of Mists|
the Seal Sound|the Shallow Sea|the Silver Gulf|the Sound of Orra|the Stormy Bay|Sunken Lake|Teal Lake|the Wide Bay|
the Windless Sea|the Wolf Sound
""".replace("\n", "").split("|")

# Capitalised, yet no name of a person, place or organisation.
PEOPLES = """
Anselmite Arvenian Baltrian Borvian Calmorian Carsian Corvanan Drenlander Elvanian Ferranian Galdian Gorranian Hestrian
Ithrian Jorlander Kalvian Kesterian Lorvian Lusanian Marvanian Meldonian Moranian Norvian Ostrian Pelagian Quentian
Ruvenian Savarian Selvanian Tarvian
""".split()
