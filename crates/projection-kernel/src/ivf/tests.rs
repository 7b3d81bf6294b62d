use super::*;
use crate::dot::dots;
use crate::normalize::normalize;
use crate::random::Random;

const DIM: usize = 48;

fn built(units: UnitVectors<'_>, queries: &[f32], threads: usize) -> IvfIndex {
    IvfIndex::build(units, queries, threads, &mut || Ok(())).unwrap()
}

/// Rows of length 1 around `topics` points; within `spread` of them, but for 1 in 8.
pub fn clustered(count: usize, topics: usize, spread: f32) -> Rows {
    let mut random = Random::new(5, topics as u64);
    let mut value =
        || (0..4).map(|_| random.below(1 << 20) as f32 / (1 << 20) as f32 - 0.5).sum::<f32>();
    let points: Vec<f32> = (0..topics * DIM).map(|_| value()).collect();
    let mut rows = Rows::with_capacity(DIM, count);
    for number in 0..count {
        let point = &points[number * 7 % topics * DIM..][..DIM];
        let mut row: Vec<f32> = point.iter().map(|point| point + spread * value()).collect();
        normalize(&mut row);
        rows.push(&row);
    }
    rows
}

fn units<'a>(rows: &Rows, copy: &'a (dyn Fn(usize, &mut [f32]) + Sync)) -> UnitVectors<'a> {
    UnitVectors { count: rows.count(), dim: rows.width(), copy_row: copy }
}

/// A matrix as units.
fn of_rows(rows: &Rows) -> impl Fn(usize, &mut [f32]) + Sync + '_ {
    |number, out| out.copy_from_slice(rows.row(number))
}

fn exact(rows: &Rows, unit: &[f32], k: usize) -> Vec<usize> {
    let mut scores = vec![0.0f32; rows.count()];
    dots(unit, rows, &mut scores);
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    order.truncate(k);
    order
}

/// The share of the true k nearest rows of some queries among the candidates.
fn recall(lists: &IvfIndex, rows: &Rows, queries: &Rows, k: usize) -> f64 {
    let mut found = 0;
    for number in 0..queries.count() {
        let unit = queries.row(number);
        let candidates = lists.shortlist(unit, k, None).unwrap();
        found += exact(rows, unit, k).iter().filter(|row| candidates.contains(row)).count();
    }
    found as f64 / (k * queries.count()) as f64
}

#[test]
fn lists_find_what_they_promise_and_read_little() {
    let all = clustered(12_200, 60, 0.8);
    let rows = Rows::from_values(DIM, &all[..12_000 * DIM]);
    let queries = Rows::from_values(DIM, &all[12_000 * DIM..]);
    let copy = of_rows(&rows);
    let lists = built(units(&rows, &copy), &[], 1);
    let found = lists.stats();
    assert!(!lists.is_exact() && found.lists > 200 && found.read < 0.25, "{found:?}");
    assert!(found.recall >= LEAST_RECALL, "{found:?}");
    for k in [1, 5, 10, 32, 100] {
        let recall = recall(&lists, &rows, &queries, k);
        assert!(recall > 0.98, "{recall} at {k}, {found:?}");
    }
    // One thread or many, and every time, the same lists.
    let again = built(units(&rows, &copy), &[], 3);
    assert_eq!(again.rows, lists.rows);
    assert_eq!(again.coarse.unwrap().probe_margins, lists.coarse.unwrap().probe_margins);
}

#[test]
fn rows_without_clusters_stay_in_one_list() {
    let rows = clustered(6000, 6000, 1.0);
    let copy = of_rows(&rows);
    let lists = built(units(&rows, &copy), &[], 1);
    assert!(lists.is_exact());
    assert_eq!(lists.stats(), IndexStats { recall: 1.0, read: 1.0, lists: 1 });
    let queries = clustered(50, 25, 1.0);
    assert_eq!(recall(&lists, &rows, &queries, 20), 1.0);
}

#[test]
fn queries_of_the_caller_count() {
    // Queries far from all rows: reading few lists would not do for them.
    let rows = clustered(6000, 60, 0.8);
    let copy = of_rows(&rows);
    assert!(!built(units(&rows, &copy), &[], 1).is_exact());
    let far = clustered(300, 300, 1.0);
    let lists = built(units(&rows, &copy), &far, 1);
    if !lists.is_exact() {
        assert!(recall(&lists, &rows, &far, 10) >= 0.985);
    }
}

#[test]
fn only_allowed_rows_are_found() {
    let rows = clustered(6000, 60, 0.8);
    let copy = of_rows(&rows);
    for lists in [IvfIndex::flat(units(&rows, &copy)), built(units(&rows, &copy), &[], 1)] {
        let query = rows.row(77);
        let candidates = lists.shortlist(query, 10, Some(&|row| row % 5 == 3)).unwrap();
        assert!(candidates.len() >= 10 && candidates.iter().all(|row| row % 5 == 3));
        let none = lists.shortlist(query, 10, Some(&|_| false));
        assert!(none.is_some_and(|none| none.is_empty()));
        let few = lists.shortlist(query, 10, Some(&|row| row < 4)).unwrap();
        assert_eq!(few.len(), 4);
    }
}

#[test]
fn rows_come_and_go() {
    let all = clustered(6000, 60, 0.8);
    let mut rows = Rows::from_values(DIM, &all[..5000 * DIM]);
    let made = {
        let copy = of_rows(&rows);
        [IvfIndex::flat(units(&rows, &copy)), built(units(&rows, &copy), &[], 1)]
    };
    assert!(!made[1].is_exact());
    let before = rows.clone();
    for mut lists in made {
        rows = before.clone();
        for part in [5000..5001, 5001..5600, 5600..6000] {
            rows.push(&all[part.start * DIM..part.end * DIM]);
            let added: Vec<usize> = (part.start..rows.count()).collect();
            lists.add(units(&rows, &of_rows(&rows)), &added);
            // Rows of the middle, the first and the last one, and one that was added.
            for number in [1234, 0, rows.count() - 3, rows.count() - 6] {
                lists.swap_remove(number, rows.count() - 1);
                rows.swap_remove(number);
            }
            // What is added next follows what is there.
            let kept = rows.count();
            rows.push(&all[..4 * DIM]);
            let added: Vec<usize> = (kept..rows.count()).collect();
            lists.add(units(&rows, &of_rows(&rows)), &added);
        }
        assert!(lists.stored().is_none());
        // Rows that are replaced again and again leave no more tombstones than there are rows.
        let some: Vec<usize> = (0..rows.count()).step_by(3).collect();
        for round in 0..9 {
            for number in &some {
                rows.set(*number, all.row((number + 500 * round) % all.count()));
                lists.swap_remove(*number, *number);
            }
            lists.add(units(&rows, &of_rows(&rows)), &some);
            assert!(lists.slots() <= 2 * rows.count(), "{} slots", lists.slots());
        }
        let queries = Rows::from_values(DIM, &all[4900 * DIM..5500 * DIM]);
        let recall = recall(&lists, &rows, &queries, 10);
        assert!(recall > if lists.is_exact() { 0.9999 } else { 0.98 }, "{recall}");
        let mut found = lists.shortlist(queries.row(0), 5990, None).unwrap_or_default();
        found.sort_unstable();
        found.dedup();
        assert!(found.iter().all(|row| *row < rows.count()));
    }
}

#[test]
fn stored_lists_are_the_same_and_wrong_ones_are_refused() {
    let rows = clustered(6000, 60, 0.8);
    let copy = of_rows(&rows);
    let lists = built(units(&rows, &copy), &[], 1);
    let stored = || lists.stored().unwrap();
    let again = IvfIndex::from_stored(stored()).unwrap();
    assert_eq!(again.stats(), lists.stats());
    for number in (0..6000).step_by(97) {
        let unit = rows.row(number);
        assert_eq!(again.shortlist(unit, 10, None), lists.shortlist(unit, 10, None));
    }
    type Damage = fn(&mut StoredIndex<'_>);
    let damages: [(Damage, &str); 11] = [
        (|parts| parts.offsets[0] = 1, "offsets"),
        (|parts| parts.offsets[3] = -1, "offsets"),
        (|parts| parts.offsets[3] = i64::MAX, "offsets"),
        (|parts| *parts.offsets.last_mut().unwrap() += 1, "offsets"),
        (|parts| parts.rows[7] = parts.rows[8], "rows"),
        (|parts| parts.rows[7] = -1, "rows"),
        (|parts| parts.rows[7] = 6000, "rows"),
        (|parts| parts.stats[1] = f64::NAN, "statistics"),
        (|parts| parts.stats[0] = -1.0, "statistics"),
        (|parts| parts.stats[1] = 1.5, "statistics"),
        (|parts| parts.radii.to_mut()[2] = f32::NAN, "radii"),
    ];
    for (damage, what) in damages {
        let mut parts = stored();
        damage(&mut parts);
        let error = IvfIndex::from_stored(parts).unwrap_err();
        assert!(error.starts_with(what), "{error}");
    }
}
