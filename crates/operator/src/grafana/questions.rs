//! What the panels of *Prices* ask PostgreSQL.

use super::figures::{SERIES, chosen, figures, filtered};

/// Most lines of the chart.
const LINES: u32 = 40;
/// Bars of the distribution.
const BARS: u32 = 20;
/// Most rows that are read one by one where hours would do.
const FEW: u32 = 150_000;

/// The monitors.
pub(super) fn monitors() -> String {
    "SELECT monitor FROM monitors ORDER BY monitor".to_owned()
}

/// Events of the chosen monitors.
pub(super) fn events() -> String {
    let filter = chosen("m.monitor", "monitor");
    format!(
        "SELECT DISTINCT e.event FROM events e JOIN monitors m ON m.id = e.monitor
WHERE e.event <> '' AND {filter}
ORDER BY e.event"
    )
}

/// Sections of the chosen events.
pub(super) fn sections() -> String {
    let filter = [chosen("m.monitor", "monitor"), chosen("e.event", "event")].join(" AND ");
    format!(
        "SELECT DISTINCT s.section FROM {SERIES}
WHERE s.section <> '' AND {filter}
ORDER BY s.section"
    )
}

/// Units of the chosen series, the most frequent first.
pub(super) fn units() -> String {
    let filter = filtered("m.monitor", "e.event", "s.section");
    format!(
        "SELECT s.unit FROM {SERIES}
WHERE {filter}
GROUP BY s.unit ORDER BY count(*) DESC, s.unit"
    )
}

/// Time zones, UTC first. Without old names and abbreviations.
pub(super) fn zones() -> String {
    "SELECT name FROM pg_timezone_names
WHERE name = 'UTC' OR name ~ '^(Africa|America|Antarctica|Asia|Atlantic|Australia|Europe|Indian|Pacific)/'
ORDER BY name <> 'UTC', name"
        .to_owned()
}

/// Latest, lowest, mean and highest price.
pub(super) fn prices() -> String {
    let figures = figures();
    format!(
        "{figures}
SELECT (SELECT h.price::float8 FROM chosen c JOIN price_history h ON h.series = c.id
        WHERE $__timeFilter(h.at) AND h.current AND h.at <= now()
          AND h.at >= (SELECT max(hour) - interval '1 hour' FROM figures WHERE prices > 0 AND hour <= now())
        ORDER BY h.at DESC, h.observed_at DESC LIMIT 1) AS \"Latest\",
       min(lowest) AS \"Lowest\", sum(total) / sum(prices)::float8 AS \"Mean\", max(highest) AS \"Highest\"
FROM figures WHERE prices > 0"
    )
}

/// How many series, observations, changes and alerts, and when something was seen last.
pub(super) fn counts() -> String {
    let figures = figures();
    let filter = filtered("m.monitor", "a.event", "a.section");
    format!(
        "{figures}
SELECT extract(epoch FROM max(last_seen))::float8 * 1000 AS \"Last seen\", count(DISTINCT series) AS \"Series\",
       coalesce(sum(observations), 0)::bigint AS \"Observations\", coalesce(sum(changes), 0)::bigint AS \"Changes\",
       (SELECT count(*) FROM price_drop_alerts a JOIN monitors m ON m.id = a.monitor
        WHERE $__timeFilter(a.at)
    AND {filter}) AS \"Alerts\"
FROM figures"
    )
}

/// The prices of the series that were seen last. Each price where they are few or the range is short, else means of
/// hours. A schedule goes on until its last slot ends.
pub(super) fn history() -> String {
    let figures = figures();
    format!(
        "{figures}, lines AS MATERIALIZED (
  SELECT series, sum(observations) AS observations FROM figures WHERE prices > 0
  GROUP BY series ORDER BY max(last_seen) DESC, series LIMIT {LINES}
), names AS (
  SELECT id, schedule, CASE WHEN count(*) OVER (PARTITION BY name) = 1 THEN name ELSE name || ' · ' || source || ' #' || id END AS name
  FROM (SELECT c.id, c.schedule, c.source, concat_ws(' · ', nullif(c.event, ''), nullif(c.section, ''), nullif(c.item, c.event)) AS name
        FROM lines l JOIN chosen c ON c.id = l.series) named
), how AS MATERIALIZED (
  SELECT $__interval_ms < 3600000
     AND (sum(observations) <= {FEW} OR $__timeTo()::timestamptz - $__timeFrom()::timestamptz < interval '96 hours') AS single
  FROM lines
), points AS (
  SELECT h.series, min(h.at) AS at, avg(h.price)::float8 AS price
  FROM lines l JOIN price_history h ON h.series = l.series
  WHERE $__timeFilter(h.at) AND h.current AND (SELECT single FROM how)
  GROUP BY h.series, date_bin(interval '1 millisecond' * $__interval_ms, h.at, timestamptz 'epoch')
  UNION ALL
  SELECT f.series, date_bin(interval '1 hour' * greatest(ceil($__interval_ms / 3600000.0), 1), f.hour, timestamptz 'epoch'),
         sum(f.total) / sum(f.prices)::float8
  FROM lines l JOIN figures f ON f.series = l.series
  WHERE f.prices > 0 AND NOT (SELECT single FROM how)
  GROUP BY 1, 2
  UNION ALL
  SELECT n.id, slot.slot_end, slot.price FROM names n
  CROSS JOIN LATERAL (
    SELECT h.slot_end, h.price::float8 AS price FROM price_history h
    WHERE h.series = n.id AND $__timeFilter(h.at) AND h.current ORDER BY h.at DESC LIMIT 1) slot
  WHERE n.schedule AND slot.slot_end IS NOT NULL
)
SELECT p.at AS time, n.name AS metric, p.price AS value
FROM points p JOIN names n ON n.id = p.series
ORDER BY 1, 2"
    )
}

/// How often which prices were seen. Above a number of prices an hour stands for its own: its lowest and highest
/// once each, the others at their mean.
pub(super) fn distribution() -> String {
    let figures = figures();
    let bar = |price: &str| {
        format!(
            "CASE WHEN b.width > 0 THEN least(floor(({price} - b.low) / b.width), b.number - 1) ELSE 0 END"
        )
    };
    let (price, lowest, highest) = (bar("h.price::float8"), bar("f.lowest"), bar("f.highest"));
    let mean = bar("least(greatest((f.total - f.lowest - f.highest) / (f.prices - 2), f.lowest), f.highest)");
    format!(
        "{figures}, bars AS MATERIALIZED (
  SELECT low, (high - low) / {BARS} AS width, CASE WHEN high > low THEN {BARS} ELSE 1 END AS number, prices <= {FEW} AS single
  FROM (SELECT min(lowest) AS low, max(highest) AS high, sum(prices) AS prices FROM figures WHERE prices > 0) ends
  WHERE prices > 0
), counted AS (
  SELECT {price} AS bar, count(*) AS times
  FROM chosen c JOIN price_history h ON h.series = c.id CROSS JOIN bars b
  WHERE $__timeFilter(h.at) AND h.current AND (SELECT single FROM bars)
  GROUP BY 1
  UNION ALL
  SELECT coalesce(low, high, mean), CASE WHEN grouping(mean) = 0 THEN sum(prices - 2) ELSE count(*) END
  FROM (SELECT f.prices, {lowest} AS low, CASE WHEN f.prices > 1 THEN {highest} END AS high, CASE WHEN f.prices > 2 THEN {mean} END AS mean
        FROM figures f CROSS JOIN bars b WHERE f.prices > 0 AND NOT (SELECT single FROM bars)) hours
  GROUP BY GROUPING SETS ((low), (high), (mean)) HAVING coalesce(low, high, mean) IS NOT NULL
)
SELECT round((b.low + b.width * n)::numeric, digits) || ' … ' || round((b.low + b.width * (n + 1))::numeric, digits) AS \"Price\",
       coalesce((SELECT sum(times) FROM counted WHERE bar = n), 0)::bigint AS \"Prices\"
FROM bars b
CROSS JOIN LATERAL (SELECT CASE WHEN b.width < 0.1 THEN 4 WHEN b.width < 10 THEN 2 ELSE 0 END AS digits) d
CROSS JOIN generate_series(0, b.number - 1) AS n
ORDER BY n"
    )
}

/// The mean price of every hour of the day.
pub(super) fn profile() -> String {
    let figures = figures();
    format!(
        "{figures}
SELECT to_char(hour AT TIME ZONE ${{timezone:sqlstring}}, 'HH24:00') AS \"Hour\", sum(total) / sum(prices)::float8 AS \"Mean\"
FROM (SELECT hour, sum(total) AS total, sum(prices) AS prices FROM figures WHERE prices > 0 GROUP BY hour) hours
GROUP BY 1 ORDER BY 1"
    )
}

/// Alerts, the newest first, and what became of them.
pub(super) fn alerts() -> String {
    let filter = filtered("m.monitor", "a.event", "a.section");
    format!(
        "SELECT a.observed_at AS \"Seen\", m.monitor AS \"Monitor\", a.event AS \"Event\", a.section AS \"Section\", a.item AS \"Item\",
       a.rule AS \"Rule\", a.severity AS \"Severity\", a.transition AS \"State\", a.price::float8 AS \"Price\",
       a.reference::float8 AS \"Compared with\", a.percent::float8 AS \"Change\", a.unit AS \"Unit\", a.slot_start AS \"Slot\",
       a.summary AS \"Summary\",
       (SELECT string_agg(d.channel || ': ' || d.state, ', ' ORDER BY d.channel) FROM alert_deliveries d WHERE d.alert = a.seq) AS \"Deliveries\",
       a.url AS \"Offer\"
FROM price_drop_alerts a JOIN monitors m ON m.id = a.monitor
WHERE $__timeFilter(a.at)
    AND {filter}
ORDER BY a.at DESC, a.seq DESC LIMIT 100"
    )
}

/// Alerts as marks on the chart.
pub(super) fn marks() -> String {
    let filter = filtered("m.monitor", "a.event", "a.section");
    format!(
        "SELECT a.at AS time, a.summary AS text, concat_ws(',', a.rule, a.severity, a.transition) AS tags
FROM price_drop_alerts a JOIN monitors m ON m.id = a.monitor
WHERE $__timeFilter(a.at)
    AND {filter}
ORDER BY a.at DESC, a.seq DESC LIMIT 200"
    )
}

/// Alerts that a channel has not taken yet, and channels that have taken all.
pub(super) fn waiting() -> String {
    let filter = chosen("m.monitor", "monitor");
    format!(
        "SELECT m.monitor AS \"Monitor\", l.channel AS \"Channel\", count(d.alert) AS \"Waiting\", min(a.accepted_at) AS \"Oldest\",
       max(d.attempts) AS \"Attempts\", min(d.next_attempt) AS \"Next attempt\",
       (array_agg(d.reason ORDER BY d.attempted_at DESC NULLS LAST))[1] AS \"Last reason\"
FROM (SELECT monitor, channel FROM channel_leases
      UNION SELECT monitor, channel FROM alert_deliveries WHERE state = 'pending') l
JOIN monitors m ON m.id = l.monitor
LEFT JOIN alert_deliveries d ON d.monitor = l.monitor AND d.channel = l.channel AND d.state = 'pending'
LEFT JOIN price_drop_alerts a ON a.seq = d.alert
WHERE {filter}
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"
    )
}
