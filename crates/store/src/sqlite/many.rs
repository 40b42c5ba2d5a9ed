//! Many rows in few statements.

/// Cuts `list` into pieces of known sizes, the largest first: few different statements, so that all stay
/// prepared.
pub(super) fn pieces<'l, T>(mut list: &'l [T], sizes: &'static [usize]) -> impl Iterator<Item = &'l [T]> {
    std::iter::from_fn(move || {
        let size = sizes.iter().find(|size| **size <= list.len())?;
        let (piece, rest) = list.split_at(*size);
        list = rest;
        Some(piece)
    })
}

/// `head row,row` for `rows` rows such as `(?,?)`.
///
/// The parameters have no numbers: SQLite would keep a list of those, which is searched for every one
/// that is bound.
pub(super) fn values(head: &str, row: &str, rows: usize) -> String {
    format!("{head} {}", vec![row; rows].join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_into_few_different_sizes_and_nothing_is_left_out() {
        const SIZES: [usize; 4] = [1000, 100, 10, 1];
        for length in [0, 1, 9, 10, 99, 557, 1234, 5000] {
            let list: Vec<usize> = (0..length).collect();
            let pieces: Vec<&[usize]> = pieces(&list, &SIZES).collect();
            assert!(pieces.iter().all(|piece| SIZES.contains(&piece.len())));
            assert_eq!(pieces.concat(), list);
        }
        assert_eq!(values("X", "(?,?)", 2), "X (?,?),(?,?)");
    }
}
