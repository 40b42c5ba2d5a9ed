//! An alert to try a channel with.

use pricemonitor_model::price::Decimal;
use pricemonitor_model::{
    Alert, AlertId, Coordinates, Incarnation, Labels, MonitorId, PriceKind, SeriesKey, Severity, Time,
    Transition,
};

/// Name of the rule that a sample pretends to come from.
const RULE: &str = "test-alert";

/// An alert that says of itself that it is a test: a ticket whose price fell by 30 %, seen at `at`.
/// Samples of different instants have different ids.
pub fn sample_alert(monitor: &MonitorId, at: Time) -> Alert<'static> {
    let series = SeriesKey { source: "test".into(), item: "test-item".into(), kind: PriceKind::Total };
    let offset = at.millis().unsigned_abs();
    let coordinates = Coordinates { incarnation: Incarnation(0), partition: 0, offset };
    Alert {
        id: AlertId::of(monitor.as_str(), RULE, &series, coordinates, Transition::Firing),
        monitor: monitor.as_str().to_owned().into(),
        rule: RULE.into(),
        transition: Transition::Firing,
        severity: Severity::Info,
        channels: None,
        source: series.source,
        item: series.item,
        price_kind: PriceKind::Total,
        labels: Labels::new().with("event", "Test event").with("section", "Section A"),
        price: Decimal::new(8_400, 2),
        reference: Some(Decimal::new(12_000, 2)),
        percent: Some(Decimal::new(-300, 1)),
        side: None,
        currency: "USD".into(),
        unit: None,
        observed_at: at,
        slot: None,
        url: None,
        summary: "This is a test: Test event | Section A | 120.00 -> 84.00 USD (-30.0 %)".into(),
        coordinates,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_two_instants_are_two_alerts() {
        let id = MonitorId::new(None, "m");
        let at = Time::from_seconds(1_700_000_000);
        assert_eq!(sample_alert(&id, at), sample_alert(&id, at));
        assert_ne!(sample_alert(&id, at).id, sample_alert(&id, at.plus(1)).id);
        assert_ne!(sample_alert(&MonitorId::new(None, "n"), at).id, sample_alert(&id, at).id);
    }
}
