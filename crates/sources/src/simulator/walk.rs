//! Prices as a function of (listing, step), without a memory.
//!
//! A random walk would have to be walked from its beginning. This construction looks like one and
//! costs the same at every step:
//!
//! 1. *When* the price changes is drawn for each step alone: with 2 in 5 it is a change point.
//!    Every 16th step is one in any case, so the last change point is at most 15 steps back and
//!    found by looking there. Between change points the price stays, which makes 58 % of the steps.
//! 2. *What* it becomes at a change point is the sum of levels: two slow waves (value noise over 1024
//!    and 128 steps, straight between hashed knots), a quick one over 16 steps, and a draw for this
//!    change point alone. As the waves are slow and the draw is even, about half of the changes
//!    go down and half go up.
//! 3. One change point in 40 is a sale: 25 to 45 % lower, until the next change.
//!
//! All in whole numbers, so that every machine draws the same prices. The factor stays within 22 %
//! and 133 % of the price that the listing moves around.

/// Hundredths of the currency.
pub(super) type Cents = i64;

/// Steps after which a price is drawn anew at the latest.
const LONGEST_STAY: u64 = 16;
/// Waves: steps between knots, and amplitude in 1/10000 of the price.
const WAVES: [(u64, i64); 3] = [(1024, 1500), (128, 900), (16, 500)];
/// Amplitude of the draw of one change point, in 1/10000.
const JITTER: i64 = 400;

/// A number drawn by three keys: the finalizer of splitmix64, once for each key.
pub(super) fn mix(a: u64, b: u64, c: u64) -> u64 {
    fn scramble(mut x: u64) -> u64 {
        x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
    scramble(scramble(scramble(a) ^ b) ^ c)
}

/// The price before fees of the listing `key` at `step`, around `around`. At least one cent.
pub(super) fn price(key: u64, around: Cents, step: u64) -> Cents {
    let at = last_change(key, step);
    let waves: i64 = WAVES.iter().map(|wave| noise(key, at, *wave)).sum();
    let factor = 10_000 + waves + even(mix(key, 11, at), JITTER) - sale(key, at);
    ((around * factor + 5_000) / 10_000).max(1)
}

fn last_change(key: u64, step: u64) -> u64 {
    let first = step - step % LONGEST_STAY;
    (first + 1..=step).rev().find(|at| mix(key, 12, *at) % 5 < 2).unwrap_or(first)
}

fn sale(key: u64, at: u64) -> i64 {
    let draw = mix(key, 13, at);
    if draw.is_multiple_of(40) { 2_500 + (draw >> 32) as i64 % 2_001 } else { 0 }
}

/// A number between `-amplitude` and `amplitude`, each as likely.
fn even(draw: u64, amplitude: i64) -> i64 {
    (draw % (2 * amplitude as u64 + 1)) as i64 - amplitude
}

/// Straight between knots that are `every` steps apart.
fn noise(key: u64, at: u64, (every, amplitude): (u64, i64)) -> i64 {
    let knot = |n: u64| even(mix(key, every, n), amplitude);
    let (n, part) = (at / every, (at % every) as i64);
    let (from, to) = (knot(n), knot(n.saturating_add(1)));
    from + (to - from) * part / every as i64
}
