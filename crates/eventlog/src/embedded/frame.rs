//! Records as bytes: how a batch lies in its blob.
//!
//! A record is its key and its value, each as a varint (0 = none, else length + 1) and the bytes.
//! Offsets are dense within a batch and all its records have one time, so neither is repeated. Batches
//! of records are compressed as a whole.

use super::trouble;
use crate::Result;

/// Most records of one stored batch: what a reader takes at a time is a whole number of these.
const RECORDS: u32 = 1024;
/// Most bytes of one stored batch, unless a single record is larger.
const BYTES: usize = 512 * 1024;
/// Batches of fewer bytes are stored as they are.
const WORTH_IT: usize = 256;

/// A batch to be stored.
#[derive(Debug, Default)]
pub(super) struct Blob {
    pub(super) bytes: Vec<u8>,
    pub(super) records: u32,
    /// Size before compression; 0: not compressed.
    pub(super) plain: usize,
}

impl Blob {
    /// Compresses the batch (LZ4 block format) where that saves an eighth or more. Records of one
    /// source are much alike: batches of a thousand shrink to a sixth.
    pub(super) fn compress(&mut self) {
        if self.plain > 0 || self.bytes.len() < WORTH_IT {
            return;
        }
        let compressed = lz4_flex::block::compress(&self.bytes);
        if compressed.len() <= self.bytes.len() / 8 * 7 {
            self.plain = self.bytes.len();
            self.bytes = compressed;
        }
    }
}

/// Appends the batch behind `stored` to `out`; `plain` as in [`Blob`].
pub(super) fn decompress(stored: &[u8], plain: usize, out: &mut Vec<u8>) -> Result<()> {
    if plain == 0 {
        out.extend_from_slice(stored);
        return Ok(());
    }
    // LZ4 cannot shrink by more than a factor of 255, so damage cannot ask for any amount of memory.
    if plain / 255 > stored.len() {
        return Err(trouble::damaged("a batch of records has a wrong size"));
    }
    let start = out.len();
    out.resize(start + plain, 0);
    match lz4_flex::block::decompress_into(stored, &mut out[start..]) {
        Ok(size) if size == plain => Ok(()),
        _ => Err(trouble::damaged("a compressed batch of records cannot be read")),
    }
}

/// Appends a record to the last of `blobs`, or to a new one when that is full.
pub(super) fn put(blobs: &mut Vec<Blob>, key: Option<&[u8]>, value: Option<&[u8]>) {
    let full = |blob: &Blob| blob.records >= RECORDS || blob.bytes.len() >= BYTES;
    if blobs.last().is_none_or(full) {
        blobs.push(Blob::default());
    }
    if let Some(blob) = blobs.last_mut() {
        field(&mut blob.bytes, key);
        field(&mut blob.bytes, value);
        blob.records += 1;
    }
}

fn field(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else {
        out.push(0);
        return;
    };
    let mut left = bytes.len() as u64 + 1;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
    out.extend_from_slice(bytes);
}

/// Key and value.
pub(super) type Pair<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// Takes the first record off `bytes`.
pub(super) fn take<'a>(bytes: &mut &'a [u8]) -> Result<Pair<'a>> {
    match (taken(bytes), taken(bytes)) {
        (Some(key), Some(value)) => Ok((key, value)),
        _ => Err(trouble::damaged("a batch of records ends too early")),
    }
}

/// The outer `None` is damage.
fn taken<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (mut length, mut shift) = (0u64, 0u32);
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        length |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            break;
        }
        shift += 7;
        if shift > 56 {
            return None;
        }
    }
    let Some(length) = length.checked_sub(1) else { return Some(None) };
    let (field, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(Some(field))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_are_read_as_they_were_put(
            records in proptest::collection::vec(
                (proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
                 proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300))), 0..40)
        ) {
            let mut blobs = Vec::new();
            for (key, value) in &records {
                put(&mut blobs, key.as_deref(), value.as_deref());
            }
            let mut read = Vec::new();
            for blob in &blobs {
                let mut rest = blob.bytes.as_slice();
                for _ in 0..blob.records {
                    let (key, value) = take(&mut rest).unwrap();
                    read.push((key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec)));
                }
                prop_assert!(rest.is_empty());
            }
            prop_assert_eq!(read, records);
        }

        #[test]
        fn damaged_bytes_are_an_error_or_records_but_never_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..64)
        ) {
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                if take(&mut rest).is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_compressed_batch_is_read_as_it_was_and_damage_to_it_is_an_error() {
        let mut blobs = Vec::new();
        for n in 0..RECORDS {
            let value = format!("{{\"item\":\"event-{n}/floor/1\",\"price\":\"{}.50\"}}", n % 97);
            put(&mut blobs, Some(b"market"), Some(value.as_bytes()));
        }
        let plain = blobs[0].bytes.clone();
        blobs[0].compress();
        let Blob { bytes, plain: size, .. } = &blobs[0];
        assert!(bytes.len() < plain.len() / 2, "{} of {}", bytes.len(), plain.len());
        let mut out = vec![1, 2];
        decompress(bytes, *size, &mut out).unwrap();
        assert_eq!((&out[..2], &out[2..]), (&[1, 2][..], plain.as_slice()));
        for end in (0..bytes.len()).step_by(97) {
            assert!(decompress(&bytes[..end], *size, &mut Vec::new()).is_err(), "{end}");
        }
        assert!(decompress(bytes, *size + 1, &mut Vec::new()).is_err());
        assert!(decompress(bytes, usize::MAX, &mut Vec::new()).is_err());
    }

    #[test]
    fn what_does_not_shrink_is_stored_as_it_is() {
        let mut noise = 1u64;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (noise >> 56) as u8
        })
        .take(4096)
        .collect();
        let mut blob = Blob { bytes: bytes.clone(), records: 1, plain: 0 };
        blob.compress();
        assert_eq!((blob.plain, &blob.bytes), (0, &bytes));
        let mut out = Vec::new();
        decompress(&blob.bytes, blob.plain, &mut out).unwrap();
        assert_eq!(out, bytes);
    }

    #[test]
    fn a_batch_is_split_by_records_and_by_bytes() {
        let mut blobs = Vec::new();
        for _ in 0..RECORDS + 1 {
            put(&mut blobs, None, None);
        }
        assert_eq!(blobs.iter().map(|b| b.records).collect::<Vec<_>>(), [RECORDS, 1]);
        put(&mut blobs, None, Some(&vec![0; 2 * BYTES]));
        put(&mut blobs, None, None);
        assert_eq!(blobs.len(), 3);
    }

    #[test]
    fn a_cut_record_is_damage() {
        let mut blobs = Vec::new();
        put(&mut blobs, Some(&[7; 200]), None);
        let bytes = &blobs[0].bytes;
        for end in 0..bytes.len() {
            assert!(take(&mut &bytes[..end]).is_err(), "{end}");
        }
    }
}
