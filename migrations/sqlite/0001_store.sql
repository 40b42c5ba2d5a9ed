-- The store of PriceMonitor on SQLite.
--
-- Times are milliseconds since 1970-01-01T00:00:00Z. "at" is the instant a price is about: the start
-- of its slot for schedules, else the time it was seen.

CREATE TABLE monitors (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    monitor       TEXT    NOT NULL UNIQUE,   -- <namespace>.<name>
    retention     INTEGER NOT NULL,          -- milliseconds
    registered_at INTEGER NOT NULL
) STRICT;

-- The catalogue: concerts, price areas.
CREATE TABLE events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    monitor     INTEGER NOT NULL REFERENCES monitors (id),
    event       TEXT    NOT NULL,            -- label `event`, else `area`, else empty
    first_at    INTEGER NOT NULL,            -- earliest instant with a price
    last_at     INTEGER NOT NULL,            -- latest one; for schedules the end of the last slot
    UNIQUE (monitor, event)
) STRICT;

CREATE TABLE series (
    -- Never used twice, so that a writer which remembers a number finds that it is gone.
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    monitor     INTEGER NOT NULL REFERENCES monitors (id),
    source      TEXT    NOT NULL,
    item        TEXT    NOT NULL,
    currency    TEXT    NOT NULL,
    unit        TEXT    NOT NULL,            -- as people write it; the currency where there is none
    schedule    INTEGER NOT NULL,            -- 1: every slot has its own price
    event       INTEGER NOT NULL REFERENCES events (id),
    section     TEXT    NOT NULL,
    UNIQUE (monitor, source, item, currency, unit, schedule)
) STRICT;
CREATE INDEX series_by_event ON series (event, section);

-- Where each sink stands in each partition. `id` is the `stream` of the rows written from there: it stands
-- for monitor, incarnation and partition.
CREATE TABLE sink_offsets (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    monitor     INTEGER NOT NULL REFERENCES monitors (id),
    sink        TEXT    NOT NULL,            -- history, alerts
    partition   INTEGER NOT NULL,
    incarnation INTEGER,                     -- bits of an unsigned number; null before the first write
    next_offset INTEGER,
    owner_epoch INTEGER NOT NULL,
    rows        INTEGER NOT NULL,            -- ever written: how the page hears of news
    UNIQUE (monitor, sink, partition, incarnation)
) STRICT;

-- One row for every observation. Stored in the order of its key, so that a series' stretch of time lies
-- together; no second b-tree. The key holds the coordinates of the raw record (stream, offset), and a raw record
-- has one series and one time: writing it twice breaks the key. No foreign key: the writer has just read the
-- series in the same transaction.
CREATE TABLE price_history (
    series      INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    seen        INTEGER NOT NULL,            -- when it was seen, from `at`: 0 for quotes
    stream      INTEGER NOT NULL,
    "offset"    INTEGER NOT NULL,
    value       REAL    NOT NULL,            -- to draw
    price       TEXT    NOT NULL,            -- exact
    base        TEXT,                        -- exact price before fees
    length      INTEGER,                     -- of the slot
    changed     INTEGER NOT NULL,            -- 1: another price than the one before in its series (its slot)
    current     INTEGER NOT NULL,            -- 0: a later row has revised this slot's price
    PRIMARY KEY (series, at, seen, stream, "offset")
) STRICT, WITHOUT ROWID;

-- Hourly figures of one series on one UTC day, packed (24 entries at most, see store/src/cells.rs). Kept in
-- the same transaction as the rows, so they are always complete.
CREATE TABLE price_hourly (
    series      INTEGER NOT NULL,
    day         INTEGER NOT NULL,            -- days since 1970-01-01
    cells       BLOB    NOT NULL,
    PRIMARY KEY (series, day)
) STRICT, WITHOUT ROWID;

-- Every alert, whether anybody is told or not.
CREATE TABLE price_drop_alerts (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    monitor     INTEGER NOT NULL REFERENCES monitors (id),
    kind        TEXT    NOT NULL,            -- drop, rise, or level where no percent is defined
    rule        TEXT    NOT NULL,
    transition  TEXT    NOT NULL,
    severity    TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    item        TEXT    NOT NULL,
    event       TEXT    NOT NULL,
    section     TEXT    NOT NULL,
    price       TEXT    NOT NULL,
    reference   TEXT,
    percent     TEXT,
    currency    TEXT    NOT NULL,
    unit        TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    observed_at INTEGER NOT NULL,
    slot_start  INTEGER,
    slot_end    INTEGER,
    url         TEXT,
    summary     TEXT    NOT NULL,
    accepted_at INTEGER NOT NULL,
    alert       TEXT    NOT NULL             -- the whole alert as JSON
) STRICT;
CREATE INDEX price_drop_alerts_by_time ON price_drop_alerts (monitor, at);

CREATE TABLE alert_deliveries (
    alert        INTEGER NOT NULL REFERENCES price_drop_alerts (seq) ON DELETE CASCADE,
    channel      TEXT    NOT NULL,
    monitor      INTEGER NOT NULL REFERENCES monitors (id),
    state        TEXT    NOT NULL,           -- pending, ok, stale, refused, gone
    attempts     INTEGER NOT NULL DEFAULT 0,
    under_way    INTEGER NOT NULL DEFAULT 0, -- 1: an attempt began and its end was not written down
    maybe_sent   INTEGER NOT NULL DEFAULT 0, -- attempts of which nobody knows whether they arrived
    next_attempt INTEGER NOT NULL,
    reason       TEXT,
    message_id   TEXT,
    attempted_at INTEGER,
    finished_at  INTEGER,
    PRIMARY KEY (alert, channel)
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_deliveries_pending ON alert_deliveries (monitor, channel, alert) WHERE state = 'pending';

-- Who may send on a channel.
CREATE TABLE channel_leases (
    monitor     INTEGER NOT NULL REFERENCES monitors (id),
    channel     TEXT    NOT NULL,
    owner       TEXT    NOT NULL,
    until       INTEGER NOT NULL,
    PRIMARY KEY (monitor, channel)
) STRICT, WITHOUT ROWID;
