use super::*;
use ndarray::{Array2, s};

fn wave(rows: usize, dim: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, dim), |(r, c)| ((r * 7 + c * 13) as f32 * 0.37).sin())
}

#[test]
fn finds_what_sorting_everything_finds() {
    let vectors = wave(1500, 20);
    let ids: Vec<i64> = (0..1500).map(|i| 5000 - i).collect();
    let index = Index::from_vectors(&ids, vectors.view()).unwrap();
    let query: Vec<f32> = (0..20).map(|i| (i as f32).cos()).collect();
    let all = index.search(&query, None, 1500).unwrap();
    assert_eq!(all.len(), 1500);
    assert!(all.windows(2).all(|pair| better_first(&pair[0], &pair[1]).is_lt()));
    for k in [0, 1, 2, 10, 700, 2000] {
        assert_eq!(index.search(&query, None, k).unwrap(), all[..k.min(1500)]);
    }
}

#[test]
fn batches_find_what_single_queries_find() {
    let vectors = wave(1500, 20);
    let ids: Vec<i64> = (0..1500).collect();
    let index = Index::from_vectors(&ids, vectors.view()).unwrap();
    let queries = Array2::from_shape_fn((150, 20), |(r, c)| ((r * 5 + c * 3) as f32).cos());
    for threads in [0, 1, 2, 5] {
        let found = index
            .search_batch_among(None, threads, queries.view(), None, 7, &mut ignore_progress)
            .unwrap();
        assert_eq!(found.len(), 150);
        for (query, found) in queries.rows().into_iter().zip(found) {
            assert_eq!(found, index.search(query.to_slice().unwrap(), None, 7).unwrap());
        }
    }
    let mut bad = queries.clone();
    bad[[70, 3]] = f32::NAN;
    bad[[149, 3]] = f32::NAN;
    let error =
        index.search_batch_among(None, 2, bad.view(), None, 7, &mut ignore_progress).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFinite);
    assert!(error.to_string().contains("row 70"), "{error}");
    let none = Index::from_vectors(&[], Array2::zeros((0, 20)).view()).unwrap();
    assert_eq!(none.search_batch(queries.view(), None, 7).unwrap(), vec![vec![]; 150]);
}

#[test]
fn equal_answers_come_by_id() {
    // Enough for every path of the products, with the same vector at all places.
    let vectors = Array2::from_shape_fn((2311, 33), |(_, c)| (c as f32 * 0.7).sin());
    let ids: Vec<i64> = (0..2311).rev().collect();
    let index = Index::from_vectors(&ids, vectors.view()).unwrap();
    let queries = Array2::from_shape_fn((9, 33), |(r, c)| (r as f32 + c as f32).cos());
    for hits in index.search_batch(queries.view(), None, 5).unwrap() {
        assert_eq!(hits.iter().map(|hit| hit.answer_id).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }
    let vectors = Array2::from_shape_fn((9, 4), |(_, c)| c as f32);
    let index = Index::from_vectors(&[9, 4, 8, 1, 2, 7, 3, 6, 5], vectors.view()).unwrap();
    let hits = index.search(&[1.0, 1.0, 0.0, 0.0], None, 3).unwrap();
    assert_eq!(hits.iter().map(|hit| hit.answer_id).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn refuses_what_has_no_cosine() {
    let vectors = wave(3, 4);
    let index = Index::from_vectors(&[1, 2, 3], vectors.view()).unwrap();
    let kind = |query: &[f32]| index.search(query, None, 1).unwrap_err().kind();
    assert_eq!(kind(&[0.0; 4]), ErrorKind::ZeroVector);
    assert_eq!(kind(&[f32::NAN, 0.0, 0.0, 0.0]), ErrorKind::NotFinite);
    assert_eq!(kind(&[1.0; 3]), ErrorKind::DimensionMismatch);
    let kind = |ids: &[i64], vectors: &Array2<f32>| {
        Index::from_vectors(ids, vectors.view()).unwrap_err().kind()
    };
    assert_eq!(kind(&[1, 2], &vectors), ErrorKind::BufferSize);
    assert_eq!(kind(&[1, 2, 1], &vectors), ErrorKind::InvalidArgument);
    assert_eq!(kind(&[1, 2, 3], &Array2::zeros((3, 4))), ErrorKind::ZeroVector);
    assert_eq!(kind(&[1, 2, 3], &Array2::zeros((3, 0))), ErrorKind::InvalidArgument);
}

#[test]
fn only_allowed_answers_are_found() {
    let vectors = wave(5000, 20);
    let ids: Vec<i64> = (0..5000).map(|i| 9000 - i).collect();
    let mut index = Index::from_vectors(&ids, vectors.view()).unwrap();
    let queries = Array2::from_shape_fn((70, 20), |(r, c)| ((r * 5 + c * 3) as f32).cos());
    let query = queries.row(3).to_vec();
    let all = index.search(&query, None, 5000).unwrap();
    let sets: [Vec<i64>; 5] = [
        vec![],
        vec![8000, 4001, 4001, 77, 9000],
        (4001..9001).filter(|id| id % 3 == 0).rev().collect(),
        (4500..8000).collect(),
        (0..10_000).collect(),
    ];
    for lists in [false, true] {
        for allowed in &sets {
            let expected: Vec<Hit> =
                all.iter().copied().filter(|hit| allowed.contains(&hit.answer_id)).collect();
            for k in [0, 1, 10, 4000] {
                let found = index.search_among(Some(allowed), k, &query, None, k).unwrap();
                assert_eq!(found, expected[..k.min(expected.len())], "{lists} {k}");
            }
            let found = index.search_batch_among(
                Some(allowed),
                2,
                queries.view(),
                None,
                10,
                &mut ignore_progress,
            );
            for (query, found) in queries.rows().into_iter().zip(found.unwrap()) {
                let query = query.to_slice().unwrap();
                let one = index.search_among(Some(allowed), 3, query, None, 10).unwrap();
                assert_eq!(found, one);
            }
        }
        assert_eq!(index.build_index(None, None, 1, &mut ignore_progress).unwrap().recall, 1.0);
    }
}

#[test]
fn answers_come_and_go() {
    let vectors = wave(6000, 20);
    let query: Vec<f32> = (0..20).map(|i| (i as f32).cos()).collect();
    let part = |range: std::ops::Range<usize>| {
        let ids: Vec<i64> = range.clone().map(|id| id as i64).collect();
        (ids, vectors.slice(s![range, ..]))
    };
    for lists in [false, true] {
        let (ids, some) = part(0..5000);
        let mut index = Index::from_vectors(&ids, some).unwrap();
        if lists {
            index.build_index(None, None, 1, &mut ignore_progress).unwrap();
        }
        let before = index.clone();
        for range in [5000..5001, 5001..6000] {
            let (ids, some) = part(range);
            index.add(&ids, some).unwrap();
        }
        let gone: Vec<i64> = (0..6000).filter(|id| id % 7 == 2 || *id > 5990).collect();
        let twice = [gone.clone(), vec![2, 70_000]].concat();
        assert_eq!(index.remove(&twice), gone.len());
        assert_eq!(index.len(), 6000 - gone.len());
        let kept: Vec<usize> = (0..6000).filter(|id| !gone.contains(&(*id as i64))).collect();
        let kept_ids: Vec<i64> = kept.iter().map(|id| *id as i64).collect();
        let fresh = Index::from_vectors(&kept_ids, vectors.select(ndarray::Axis(0), &kept).view());
        let fresh = fresh.unwrap();
        for k in [1, 10, 100] {
            let found = index.search(&query, None, k).unwrap();
            assert_eq!(found, fresh.search(&query, None, k).unwrap());
            let allowed: Vec<i64> = (0..6000).step_by(2).collect();
            let found = index.search_among(Some(&allowed), 1, &query, None, k).unwrap();
            assert_eq!(found, fresh.search_among(Some(&allowed), 1, &query, None, k).unwrap());
        }
        // A clone keeps what it had.
        assert_eq!(before.len(), 5000);
        assert!(before.search(&query, None, 5000).unwrap().iter().all(|hit| hit.answer_id < 5000));
        // Nothing is added after an error.
        let (ids, some) = part(0..3);
        let kind = |index: &mut Index, ids: &[i64], vectors: ArrayView2<'_, f32>| {
            index.add(ids, vectors).unwrap_err().kind()
        };
        assert_eq!(kind(&mut index, &ids, some), ErrorKind::InvalidArgument);
        assert_eq!(kind(&mut index, &[9001, 9001, 9002], some), ErrorKind::InvalidArgument);
        assert_eq!(kind(&mut index, &[9001], some), ErrorKind::BufferSize);
        assert_eq!(kind(&mut index, &[9001], wave(1, 19).view()), ErrorKind::DimensionMismatch);
        assert_eq!(kind(&mut index, &[9001], Array2::zeros((1, 20)).view()), ErrorKind::ZeroVector);
        assert_eq!(index.len(), fresh.len());
        // Down to nothing, and up again.
        assert_eq!(index.remove(&kept_ids), kept_ids.len());
        assert_eq!(index.search(&query, None, 3).unwrap(), vec![]);
        let (ids, some) = part(40..50);
        index.add(&ids, some).unwrap();
        assert_eq!(index.search(&query, None, 30).unwrap().len(), 10);
    }
}

#[test]
fn replaced_answers_are_found_as_if_they_had_always_been_there() {
    let vectors = wave(6000, 20);
    let ids: Vec<i64> = (0..5500).collect();
    let rows: Vec<usize> = (5000..6000).chain(1000..5000).chain(0..500).collect();
    let expected = vectors.select(ndarray::Axis(0), &rows);
    let expected = Index::from_vectors(&ids, expected.view()).unwrap();
    for approximate in [false, true] {
        let mut index = Index::from_vectors(&ids[..5000], vectors.slice(s![..5000, ..])).unwrap();
        if approximate {
            index.build_index(None, None, 1, &mut ignore_progress).unwrap();
        }
        let before = index.clone();
        index.replace(&ids[..1000], vectors.slice(s![5000.., ..])).unwrap();
        // Known ids and new ones together.
        let some: Vec<i64> = (4000..5500).collect();
        let rows: Vec<usize> = (4000..5000).chain(0..500).collect();
        index.replace(&some, vectors.select(ndarray::Axis(0), &rows).view()).unwrap();
        let wrong = index.replace(&[3, 4, 3], vectors.slice(s![..3, ..])).unwrap_err();
        assert_eq!(wrong.to_string(), "two vectors with the id 3");
        let zeros = index.replace(&[3, 4], Array2::zeros((2, 20)).view()).unwrap_err();
        assert_eq!(zeros.kind(), ErrorKind::ZeroVector);
        assert_eq!((index.ids(), index.units()), (expected.ids(), expected.units()));
        for query in [0, 777, 5432] {
            let query = vectors.row(query).to_vec();
            for k in [1, 10, 100] {
                let found = index.search(&query, None, k).unwrap();
                assert_eq!(found, expected.search(&query, None, k).unwrap());
            }
        }
        // A clone keeps what it had.
        let first = Index::from_vectors(&ids[..5000], vectors.slice(s![..5000, ..])).unwrap();
        assert_eq!(before.units(), first.units());
    }
}

#[test]
fn what_comes_may_be_wrong_empty_or_all_the_same() {
    let vectors = wave(5000, 20);
    let ids: Vec<i64> = (0..5000).collect();
    for lists in [false, true] {
        let mut index = Index::from_vectors(&ids, vectors.view()).unwrap();
        if lists {
            index.build_index(None, None, 1, &mut ignore_progress).unwrap();
        }
        let query = vectors.row(7).to_vec();
        let before = index.search(&query, None, 20).unwrap();
        // Values that are no numbers, anywhere in what is added, leave the index as it was.
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut wrong = wave(3, 20);
            wrong[[2, 19]] = value;
            let error = index.add(&[8000, 8001, 8002], wrong.view()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFinite);
            assert!(error.to_string().contains("answer 8002"), "{error}");
        }
        index.add(&[], Array2::zeros((0, 20)).view()).unwrap();
        assert_eq!(index.remove(&[]), 0);
        assert_eq!(index.remove(&[i64::MIN, i64::MAX, -1, 5000]), 0);
        assert_eq!(index.search(&query, None, 20).unwrap(), before);
        // Many equal vectors: by id, and those that are not allowed are passed over.
        let same = Array2::from_shape_fn((300, 20), |(_, column)| vectors[[7, column]]);
        let new: Vec<i64> = (10_000..10_300).rev().collect();
        index.add(&new, same.view()).unwrap();
        let found = index.search(&query, None, 4).unwrap();
        let ids_of = |hits: &[Hit]| hits.iter().map(|hit| hit.answer_id).collect::<Vec<_>>();
        let mut near: Vec<i64> = ids_of(&before[..1]);
        near.extend(10_000..10_003);
        assert_eq!(ids_of(&found), near, "{lists}");
        let allowed = [10_299, 10_205, 10_205, -3, 10_250];
        let found = index.search_among(Some(&allowed), 1, &query, None, 9).unwrap();
        assert_eq!(ids_of(&found), [10_205, 10_250, 10_299]);
        assert_eq!(index.search_among(Some(&[]), 1, &query, None, 9).unwrap(), []);
        assert_eq!(index.remove(&new), 300);
        assert_eq!(index.search(&query, None, 20).unwrap(), before);
        // An id may come again after it was removed, with another vector.
        assert_eq!(index.remove(&[7]), 1);
        index.add(&[7], vectors.slice(s![8..9, ..])).unwrap();
        let found = index.search(&vectors.row(8).to_vec(), None, 2).unwrap();
        assert_eq!(ids_of(&found), [7, 8]);
        // Lists of an index that is empty, and of vectors that are all the same.
        let mut empty = Index::from_vectors(&[], Array2::zeros((0, 20)).view()).unwrap();
        assert_eq!(empty.build_index(None, None, 2, &mut ignore_progress).unwrap().lists, 1);
        assert_eq!(empty.search(&query, None, 3).unwrap(), []);
    }
}

#[test]
fn lists_of_equal_vectors_find_them_by_id() {
    let same = Array2::from_shape_fn((17_000, 8), |(_, column)| 1.0 + column as f32);
    let ids: Vec<i64> = (0..17_000).rev().collect();
    let mut index = Index::from_vectors(&ids, same.view()).unwrap();
    let exact = index.search(same.row(0).to_slice().unwrap(), None, 12).unwrap();
    assert_eq!(index.build_index(None, None, 2, &mut ignore_progress).unwrap().recall, 1.0);
    assert_eq!(index.search(same.row(0).to_slice().unwrap(), None, 12).unwrap(), exact);
    let nan = Array2::from_elem((1, 8), f32::NAN);
    let error = index.build_index(Some(nan.view()), None, 1, &mut ignore_progress).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFinite);
    assert_eq!(index.search(same.row(0).to_slice().unwrap(), None, 12).unwrap(), exact);
}
