//! Small numbers, texts and decimals as few bytes.

use pricemonitor_model::persist::PersistError;
use pricemonitor_model::{Decimal, Time};

/// Most bytes of a number in groups of seven bits: 128 bits need 19.
const MAX_GROUPS: u32 = 19;

/// So many groups fit into 64 bits.
const SHORT: usize = 9;

/// Appends `value` in groups of seven bits, the lowest first.
pub(crate) fn put_number(value: u128, out: &mut Vec<u8>) {
    match u64::try_from(value) {
        Ok(value) => put_short(value, out),
        Err(_) => put_long(value, out),
    }
}

/// Nearly every number: half the work of a long one.
fn put_short(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_long(mut value: u128, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the length and the bytes of `text`.
pub(crate) fn put_text(text: &str, out: &mut Vec<u8>) {
    put_number(text.len() as u128, out);
    out.extend_from_slice(text.as_bytes());
}

/// Appends a number of either sign; small ones are short.
pub(crate) fn put_signed(value: i64, out: &mut Vec<u8>) {
    put_number(u128::from(((value << 1) ^ (value >> 63)) as u64), out);
}

/// Appends an instant.
pub(crate) fn put_time(time: Time, out: &mut Vec<u8>) {
    put_signed(time.millis(), out);
}

/// Appends sign, scale and digits, so that `120.00` stays `120.00`.
pub(crate) fn put_decimal(value: Decimal, out: &mut Vec<u8>) {
    out.push(value.scale() as u8 | u8::from(value.is_sign_negative()) << 5);
    put_number(value.mantissa().unsigned_abs(), out);
}

/// Reads what was put, and says what is wrong when it cannot.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

/// The error for bytes that make no sense.
pub(crate) fn broken(why: impl Into<String>) -> PersistError {
    PersistError { what: "detection state", why: why.into() }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], PersistError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or_else(|| broken("it ends too early"))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, PersistError> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// A byte of which only the bits in `known` may be set.
    pub(crate) fn flags(&mut self, known: u8) -> Result<u8, PersistError> {
        let flags = self.byte()?;
        if flags & !known == 0 { Ok(flags) } else { Err(broken(format!("unknown flags {flags:#x}"))) }
    }

    pub(crate) fn number(&mut self) -> Result<u128, PersistError> {
        self.short().map_or_else(|| self.long(), |value| Ok(u128::from(value)))
    }

    /// A number of at most nine bytes, which nearly every one is. `None`, and nothing read, if it is longer or torn.
    fn short(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for (group, byte) in self.rest.iter().take(SHORT).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * group);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[group + 1..];
                return Some(value);
            }
        }
        None
    }

    fn long(&mut self) -> Result<u128, PersistError> {
        let mut value = 0u128;
        for group in 0..MAX_GROUPS {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            if group == MAX_GROUPS - 1 && bits > 3 {
                break;
            }
            value |= bits << (7 * group);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(broken("a number is too large"))
    }

    pub(crate) fn number_u32(&mut self) -> Result<u32, PersistError> {
        u32::try_from(self.number()?).map_err(|_| broken("a count is too large"))
    }

    /// How many things follow. Each takes at least one byte, so that a broken count cannot ask for
    /// more memory than there are bytes.
    pub(crate) fn count(&mut self) -> Result<usize, PersistError> {
        match usize::try_from(self.number()?) {
            Ok(count) if count <= self.rest.len() => Ok(count),
            _ => Err(broken("it ends too early")),
        }
    }

    pub(crate) fn id(&mut self) -> Result<u64, PersistError> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(bytes))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, PersistError> {
        let len = self.count()?;
        std::str::from_utf8(self.take(len)?).map_err(|_| broken("a text is not UTF-8"))
    }

    pub(crate) fn signed(&mut self) -> Result<i64, PersistError> {
        let folded = u64::try_from(self.number()?).map_err(|_| broken("a time is too large"))?;
        Ok((folded >> 1) as i64 ^ -((folded & 1) as i64))
    }

    pub(crate) fn time(&mut self) -> Result<Time, PersistError> {
        self.signed().map(Time::from_millis)
    }

    pub(crate) fn decimal(&mut self) -> Result<Decimal, PersistError> {
        let head = self.flags(0x3f)?;
        let digits = self.number()?;
        let scale = u32::from(head & 0x1f);
        if scale > Decimal::MAX_SCALE || digits >> 96 != 0 {
            return Err(broken("a price has too many digits"));
        }
        let (lo, mid, hi) = (digits as u32, (digits >> 32) as u32, (digits >> 64) as u32);
        Ok(Decimal::from_parts(lo, mid, hi, head & 0x20 != 0, scale))
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), PersistError> {
        if self.rest.is_empty() { Ok(()) } else { Err(broken(format!("{} bytes too many", self.rest.len()))) }
    }
}
