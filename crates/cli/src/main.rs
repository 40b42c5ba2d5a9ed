//! pricemonitor
fn main() {}
