"""Names of people and towns. `STEMS` serve as both, so that a name alone does not tell its role."""

WOMEN = """
Ada Agnes Alma Beatrice Bridget Camilla Cecily Clara Cora Delia Dora Edith Eleanor Elspeth Emmeline Esther Fanny Flora
Frances Greta Hannah Harriet Hester Hilda Ida Imogen Isolde Judith Katrin Lavinia Leonora Lydia Mabel Marta Matilda
Miriam Nell Nora Octavia Olive Ottilie Petra Phoebe Rhoda Rosalind Ruth Selma Sibyl Susanna Tabitha Thea Ursula Vera
Verity Viola Willa Winifred
""".split()

MEN = """
Abel Albert Alfred Ambrose Anton Arthur Barnaby Basil Bertram Caspar Cedric Clement Conrad Cyril Daniel Edgar Edmund
Ellis Emil Ernest Ezra Felix Gideon Gilbert Godfrey Gustav Harold Hector Horace Hubert Hugo Ivor Jasper Jonas Julius
Konrad Lambert Leopold Lionel Magnus Matthias Maurice Nathan Oscar Osbert Otto Percy Quentin Ralph Roland Rufus Samson
Silas Theodore Tobias Victor Walter
""".split()

STEMS = """
Aldane Arkwell Ashcombe Barrow Bexholm Birling Blythe Bramley Brand Calder Carrow Caston Clave Colby Corley Cotter
Cranham Crewe Dalby Darrow Denholm Dunmore Edgely Elmore Farrow Felton Fenwick Garrick Glaisby Granby Halden Hanley
Harlow Hartley Haver Heston Hexton Holt Hornby Hulme Ingham Irby Kelby Kelso Kendrick Kerrow Kirby Lambourne Langley
Larkin Leyburn Linton Loxley Lydgate Marlow Marsden Melbury Merrow Milner Morden Morley Nairn Netherby Norwell Oakham
Oldroyd Orley Osmund Oxley Pelham Penrose Pickering Preston Quarles Radley Ramsden Ravel Redmond Ripley Rowley Royle
Rudby Saltram Selby Sharrow Shelby Skelton Stanhope Stoke Sutton Swale Tarrant Tenby Thorley Thornby Tilney Tolland
Torrin Trent Tulloch Upton Usk Vance Varley Wadham Walden Wareham Weldon Wexley Whitby Wickham Winslow Wolford Wyre
Yarrow Yelland York
""".split()

SURNAMES = """
Abbott Ames Archer Baines Baker Beck Bell Bishop Bolt Bowman Brewer Brook Byrne Carver Chandler Cole Cooper Cray Cross
Day Dean Drake Ellery Finch Fisher Flint Fletcher Forester Frost Gale Glover Grove Hale Hawk Heath Hook Hunter Joiner
Keeler Knight Lake Lamb Lane March Marsh Mason May Mercer Miller Moon Noble Page Palmer Parish Pike Pond Porter Potter
Reed Rivers Rook Rose Sadler Sharp Shepherd Slater Snow Stone Summers Tanner Thorne Turner Vale Wade Walker Ward
Weaver West Winter Wolf Wood Wright
""".split()

TOWNS = """
Alverne Amberley Ardmouth Balcary Bellmere Brackwater Brinsea Carnforth Castlemere Cindermouth Coldharbour Corrimoor
Dovemouth Drumlin Eastmere Eldermoor Eskmouth Fairwater Fallowfield Fennimore Gallowgate Glassmere Goldwick
Greyhaven Hallowmere Heronsea Highmoor Ironbridge Ivymouth Kestrelwick Kingsmere Lanternquay Lindisholm Longstrand
Maplewick Millhaven Mistley Moorgate Netherwater Northquay Oakenshaw Otterbourne Pebblewick Pinehaven Quillmouth
Ravensea Redwater Rookhaven Saltmere Sandwick Silverdale Stonehaven Summerfold Swanmouth Thistledown Tidewell
Underhill Wallowmere Westquay Willowbank Winterbourne Wrenfield
""".split()

# First parts of the names of firms, presses, halls and cups.
HEADS = """
Acorn Albatross Alder Amber Anchor Anvil Arrow Atlas Aurora Badger Beacon Bellows Birch Blackthorn Bluebell Bramble
Briar Bronze Cardinal Cedar Chestnut Cinder Clover Comet Compass Copper Coral Cormorant Crown Cygnet Dolphin Eagle
Ember Emerald Falcon Fern Foxglove Garnet Gannet Granite Griffin Hazel Heron Holly Hornet Ivory Juniper Kestrel
Kingfisher Lantern Larkspur Laurel Lighthouse Linden Lion Magpie Maple Meridian Mistral Neptune Nightingale Oak Opal
Orchard Orion Osprey Otter Pelican Phoenix Pilgrim Plover Quarry Raven Rowan Saffron Sable Sapphire Skylark
Sparrow Swallow Sycamore Tempest Thistle Topaz Trident Walnut Willow Zephyr
""".split()
