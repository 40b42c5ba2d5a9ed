//! SQL that the panels of *Prices* begin with: which series are chosen, and their figures by the hour.
//!
//! As on the web page (`crates/store`), whole hours that were summed up are read from `price_hourly`, all others from
//! the rows: so a range of years costs no more than its hours, and the numbers are those of the page. What is asked
//! needs no right beyond those of `pricemonitor setup --reader-role`.

/// Whether a column is among the chosen values of a variable.
///
/// "All" is `NULL` here, and of what is compared with nothing, nobody can say that it is false. Since its version 11,
/// Grafana writes a `\` in front of a `"` in `sqlstring`, where PostgreSQL wants none: a name that holds one is
/// compared both ways.
pub(super) fn chosen(column: &str, variable: &str) -> String {
    let values = format!("(${{{variable}:sqlstring}})");
    format!("({column} IN {values} OR replace({column}, '\"', '\\\"') IN {values}) IS NOT FALSE")
}

/// All three filters, on tables with these columns.
pub(super) fn filtered(monitor: &str, event: &str, section: &str) -> String {
    let filters = [(monitor, "monitor"), (event, "event"), (section, "section")];
    filters.map(|(column, variable)| chosen(column, variable)).join("\n    AND ")
}

/// The chosen series, and their names.
pub(super) const SERIES: &str =
    "series s JOIN events e ON e.id = s.event JOIN monitors m ON m.id = s.monitor";

/// An hour of `price_history h`.
const HOUR: &str = "date_bin('1 hour', h.at, timestamptz 'epoch')";

/// What every question about prices begins with: `chosen`, the series, and `figures`, theirs by the hour within the
/// range. More tables and the question itself follow.
pub(super) fn figures() -> String {
    let filter = filtered("m.monitor", "e.event", "s.section");
    format!(
        "WITH chosen AS MATERIALIZED (
  SELECT s.id, s.schedule, s.source, s.item, s.section, e.event
  FROM {SERIES}
  WHERE {filter}
    AND s.unit IN (${{unit:sqlstring}})
), edge AS MATERIALIZED (
  -- Whole hours of the range that were summed up: from `first`, before `behind`.
  SELECT date_bin('1 hour', $__timeFrom()::timestamptz + interval '1 hour' - interval '1 microsecond', timestamptz 'epoch') AS first,
         least(date_bin('1 hour', $__timeTo()::timestamptz, timestamptz 'epoch'), hours_summed) AS behind
  FROM housekeeping
), stale AS MATERIALIZED (
  -- Hours that got rows since; without a series, it holds for all of them.
  SELECT DISTINCT hour, series FROM price_hourly_stale
  WHERE hour >= (SELECT first FROM edge) AND hour < (SELECT behind FROM edge)
), rest AS (
  SELECT h.* FROM chosen c JOIN price_history h ON h.series = c.id
  WHERE $__timeFilter(h.at) AND h.at < (SELECT first FROM edge)
  UNION ALL
  SELECT h.* FROM chosen c JOIN price_history h ON h.series = c.id
  WHERE $__timeFilter(h.at) AND h.at >= (SELECT greatest(first, behind) FROM edge)
  UNION ALL
  SELECT h.* FROM (SELECT DISTINCT t.hour, c.id FROM stale t JOIN chosen c ON c.id = t.series OR t.series IS NULL) s
  CROSS JOIN LATERAL (
    SELECT * FROM price_history p
    WHERE p.series = s.id AND p.at >= s.hour AND p.at < s.hour + interval '1 hour' OFFSET 0) h
), figures AS (
  SELECT p.series, p.hour, p.observations, p.prices, p.changes, p.last_seen, p.total, p.lowest, p.highest
  FROM chosen c JOIN price_hourly p ON p.series = c.id
  WHERE p.hour >= (SELECT first FROM edge) AND p.hour < (SELECT behind FROM edge)
    AND NOT EXISTS (SELECT FROM stale t WHERE t.hour = p.hour AND (t.series = p.series OR t.series IS NULL))
  UNION ALL
  SELECT h.series, {HOUR}, count(*), count(*) FILTER (WHERE h.current), count(*) FILTER (WHERE h.changed),
         max(h.observed_at), coalesce(sum(h.price) FILTER (WHERE h.current), 0)::float8,
         coalesce(min(h.price) FILTER (WHERE h.current)::float8, 'Infinity'),
         coalesce(max(h.price) FILTER (WHERE h.current)::float8, '-Infinity')
  FROM rest h GROUP BY 1, 2
)"
    )
}
