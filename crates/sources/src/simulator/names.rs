//! Invented artists and venues, and what a seat costs where.

/// A part of a venue.
pub(super) struct Section {
    pub(super) name: &'static str,
    /// As it stands in item keys.
    pub(super) slug: &'static str,
    /// Usual price before fees, in hundredths.
    pub(super) cents: i64,
}

const fn section(name: &'static str, slug: &'static str, cents: i64) -> Section {
    Section { name, slug, cents }
}

pub(super) const SECTIONS: [Section; 6] = [
    section("Floor", "floor", 18_500),
    section("Lower Bowl", "lower-bowl", 12_000),
    section("Club Level", "club-level", 15_000),
    section("Mezzanine", "mezzanine", 9_000),
    section("Upper Bowl", "upper-bowl", 6_500),
    section("Balcony", "balcony", 4_500),
];

pub(super) const ROWS: [&str; 20] =
    ["A", "B", "C", "D", "E", "F", "G", "H", "J", "K", "L", "M", "N", "P", "R", "S", "T", "U", "V", "W"];

/// Name, and how dear they are in percent.
const ARTISTS: [(&str, i64); 24] = [
    ("The Copper Lanterns", 110),
    ("Juniper Vale", 145),
    ("Northbound Static", 85),
    ("Mira Okonjo", 160),
    ("Paper Harbour", 75),
    ("The Velvet Almanac", 95),
    ("Glass Meridian", 120),
    ("Sunday Cartographers", 70),
    ("Ilse & The Tidewater Five", 80),
    ("Ember Parade", 130),
    ("Low Orbit Choir", 90),
    ("Dario Lindqvist", 105),
    ("Halcyon Motel", 100),
    ("The Birch Street Revue", 65),
    ("Neon Heron", 115),
    ("Calico Thunder", 85),
    ("Aurora Bexley", 170),
    ("Winter Telegraph", 75),
    ("The Slow Comets", 95),
    ("Saffron Kingsway", 140),
    ("Maple & Rust", 70),
    ("Echo Valley Radio", 80),
    ("Tomas Arkwright Trio", 60),
    ("Ravenna Skies", 125),
];

const VENUES: [&str; 20] = [
    "Meridian Hall",
    "Harbourlight Arena",
    "The Old Foundry",
    "Northgate Dome",
    "Riverside Amphitheatre",
    "Grand Orpheum",
    "Starling Park",
    "Kestrel Stadium",
    "The Lantern Room",
    "Union Tramworks",
    "Cedar Point Pavilion",
    "Palais Aurelia",
    "Quayside Garden",
    "Summit Coliseum",
    "The Glasshouse",
    "Bellweather Theatre",
    "Ironbridge Center",
    "Lakeshore Bowl",
    "Crescent Ballroom",
    "Highfield Grounds",
];

/// What an event is called.
pub(super) struct About {
    pub(super) title: String,
    pub(super) venue: &'static str,
    pub(super) level: i64,
}

/// The event number `at`, from 0; no two have the same title.
pub(super) fn event(seed: u64, at: u32) -> About {
    let (artists, venues) = (ARTISTS.len() as u64, VENUES.len() as u64);
    let turned = u64::from(at) + super::mix(seed, 0xa27, 0) % artists;
    let round = u64::from(at) / artists;
    let (artist, level) = ARTISTS[(turned % artists) as usize];
    // Each artist goes through the venues, beginning at one of their own.
    let first = super::mix(seed, 0xe20, turned % artists);
    let venue = VENUES[((first % venues + round) % venues) as usize];
    let night = round / venues + 1;
    let title = match night {
        1 => format!("{artist} at {venue}"),
        _ => format!("{artist} at {venue}, night {night}"),
    };
    About { title, venue, level }
}
