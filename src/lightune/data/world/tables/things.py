"""Trades, goods, materials, substances and numbers: what is not a name."""

PROFESSIONS = """
apothecary|astronomer|baker|bookbinder|botanist|brewer|cabinet maker|cartographer|chemist|clockmaker|customs officer|
dancer|dentist|diplomat|draughtsman|engraver|gardener|geologist|glass blower|governess|harbour pilot|innkeeper|
interpreter|jeweller|judge|lawyer|librarian|locksmith|mathematician|midwife|miller|mining engineer|naturalist|
notary|optician|organist|philologist|photographer|physician|piano tuner|potter|printer|saddler|schoolteacher|
sculptor|shipwright|stonemason|surgeon|surveyor|tailor|translator|veterinarian|violin maker|watercolour painter|
weaver|zoologist
""".replace("\n", "").split("|")

PRODUCTS = """
barometers|beer|bells|bicycles|biscuits|brushes|buttons|candles|carpets|carriages|cheese|chocolate|church organs|
cider|clay pipes|clocks|cutlery|enamelled pots|felt hats|fishing nets|furniture|glassware|gloves|gunpowder|honey|
ink|knives|lace|lamp oil|leather boots|linen|locks|marzipan|matches|mirrors|mustard|nails|needles|paper|pencils|
pianos|porcelain|rope|sailcloth|scissors|sewing machines|silk ribbons|smoked herring|soap|spectacles|sugar|
telescopes|tobacco|toys|umbrellas|vinegar|wallpaper|wine|woollen blankets|writing desks
""".replace("\n", "").split("|")

MATERIALS = """
basalt|black slate|bluestone|cast iron|cedar wood|chalk blocks|coral stone|flint|glazed brick|grey granite|
green marble|larch timber|limestone|oak beams|pink sandstone|porphyry|pressed clay|pumice|red brick|river cobbles|
rough fieldstone|serpentine|steel plates|travertine|volcanic tuff|white marble|whitewashed rubble|wrought iron|
yellow brick|yellow ochre stone
""".replace("\n", "").split("|")

SUBSTANCES = """
adelite|amber wax|argenite|balm resin|bitter madder|blue vitriol|brinesalt|calorine|carmine lake|chalk lichen|
cindersalt|cobaltine|corvusite|dew gum|drennite|elder oil|ember moss|fen indigo|ferroline|flowstone|ghost lichen|
glacine|greywort|haloid wax|heliodine|ignatine|juniper tar|kelpine|lapis ash|larkroot|lunarite|marsh camphor|
moor saffron|nacreine|nitrine|ochrine|orpal|pale cinnabar|pearl ash|quartzine|quill resin|red tannin|rookite|
saltwort|selvine|smoke alum|stellarite|sun lichen|tarnwort|tidal amber|umbrine|velorite|white galena|windroot|
yellow bole|zephyrine
""".replace("\n", "").split("|")

USES = """
bleaching cotton|brewing ale|calming fevers|cleaning wounds|colouring glass|curing leather|dyeing wool|easing coughs|
etching copper|feeding silkworms|fixing photographs|glazing pottery|hardening steel|healing burns|keeping meat fresh|
lighting streets|making ink|making perfume|mending porcelain|killing moths|oiling clocks|painting ships|
polishing lenses|preserving eggs|purifying water|sealing barrels|sharpening blades|silvering mirrors|
soothing toothache|staining oak|stiffening collars|tanning hides|treating gout|varnishing violins|
waterproofing boots|whitening teeth
""".replace("\n", "").split("|")

# Every value of a number belongs to one split, like every name.
NUMBERS: dict[str, tuple[range, str]] = {
    "length": (range(41, 990, 3), "kilometres"),
    "altitude": (range(903, 4970, 11), "metres"),
    "height": (range(12, 190), "feet"),
    "population": (range(3_100, 96_000, 130), "inhabitants"),
    "casualties": (range(310, 9_800, 35), "soldiers"),
    "workforce": (range(45, 2_900, 7), "workers"),
}

BIRTH_YEARS = range(1780, 1820)
DEED_YEARS = range(1840, 1870)  # whoever was born in BIRTH_YEARS is 21 to 89 years old then
CHARTER_YEARS = range(1105, 1500, 3)
MONTHS = """
January February March April May June July August September October November December
""".split()
