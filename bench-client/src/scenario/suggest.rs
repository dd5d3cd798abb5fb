//! "Did you mean": the nearest of the words that would have been right.

/// The candidate nearest to `word`, unless even that one is too far off to have been meant.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(word, candidate), candidate))
        // A third of the letters wrong is still a slip of the fingers; more is another word.
        .filter(|(distance, candidate)| {
            let length = candidate.chars().count();
            *distance < length && distance * 3 <= length.max(3)
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// `; did you mean "x"?` where there is something near, and the full list of what is allowed.
pub(super) fn remedy<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let meant = nearest(word, candidates.clone()).map(|near| format!("did you mean \"{near}\"? ")).unwrap_or_default();
    let all: Vec<String> = candidates.into_iter().map(|candidate| format!("\"{candidate}\"")).collect();
    format!("{meant}write one of {}", all.join(", "))
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other (the "optimal string
/// alignment" distance), on characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_each_slip_once() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("rate", "rate", 0),
            ("rate", "rat", 1),
            ("rate", "rats", 1),
            ("rate", "raet", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edit_distance(a, b), expected, "{a} {b}");
            assert_eq!(edit_distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn slips_are_corrected_and_other_words_are_not() {
        let keys = ["algorithm", "lifetime", "leeway", "pool"];
        assert_eq!(nearest("algoritm", keys), Some("algorithm"));
        assert_eq!(nearest("lifetiem", keys), Some("lifetime"));
        assert_eq!(nearest("pol", keys), Some("pool"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("3", ["2"]), None);
        assert_eq!(nearest("anything", []), None);
    }
}
