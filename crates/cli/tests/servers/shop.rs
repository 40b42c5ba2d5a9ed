//! A source whose every price the test decides.

use pricemonitor_testkit::place;

use crate::fleet::Fleet;

/// The source, for a manifest.
pub const SOURCE: &str = "
sources:
- name: shop
  interval: 100ms
  file:
    path: shop.json
    mapping: {jq: '.[] | {item: .id, price: .price}', currency: USD}
";

/// Shows so many items at this price.
pub fn publish(fleet: &Fleet, items: usize, price: u32) {
    let items: Vec<String> =
        (0..items).map(|n| format!(r#"{{"id": "item-{n}", "price": "{price}"}}"#)).collect();
    place::replace(&fleet.place.at("shop.json"), format!("[{}]", items.join(","))).unwrap();
}
