//! BM25 over texts, by SQLite's FTS5.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use projection_core::search::LexicalIndex;
use projection_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, OpenFlags};

/// Number of databases in memory made so far: each has a name of its own.
static MADE: AtomicU64 = AtomicU64::new(0);

/// Texts by number, ranked by the words that they share with a query. Any number
/// of threads may share it.
///
/// The score is FTS5's: Okapi BM25 with k₁ = 1.2 and b = 0.75, summed over the different
/// words of the query, in which words that are in more than half of the texts count next to
/// nothing. Words are runs of letters and digits, without case and accents (`unicode61`).
/// There is no list of stop words and no stemming.
#[derive(Debug)]
pub struct Bm25 {
    /// The database in memory lives as long as a connection to it does, and there is always
    /// one here or in use. A connection belongs to one thread at a time, so each of several
    /// threads that search at once gets its own.
    idle: Mutex<Vec<Connection>>,
    name: String,
}

impl Bm25 {
    /// Indexes texts under numbers of the caller's choice, which must differ. The texts are
    /// not kept.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a number that comes twice,
    /// [`ErrorKind::Internal`] if memory runs out.
    pub fn new<'a>(texts: impl IntoIterator<Item = (i64, &'a str)>) -> Result<Self> {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        // A name that begins with a slash is one database for all connections to it.
        let name = format!("file:/projection-bm25-{number}?vfs=memdb");
        let mut connection = connect(&name)?;
        fill(&mut connection, texts)?;
        Ok(Self { idle: Mutex::new(vec![connection]), name })
    }

    /// Connections are whole at any moment, also after a panic elsewhere.
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LexicalIndex for Bm25 {
    /// The score, above zero, of each text that has a word of `query`, by ascending number.
    /// Any text is a valid query; one without words finds nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if memory runs out.
    fn scores(&self, query: &str) -> Result<Vec<(i64, f64)>> {
        let Some(query) = match_any_word(query) else { return Ok(Vec::new()) };
        // Not held while searching.
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.name)?,
        };
        let found = matches(&connection, &query);
        self.idle().push(connection);
        found
    }
}

fn connect(name: &str) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(name, flags).map_err(failed)
}

fn fill<'a>(
    connection: &mut Connection,
    texts: impl IntoIterator<Item = (i64, &'a str)>,
) -> Result<()> {
    let change = connection.transaction().map_err(failed)?;
    change
        .execute_batch(
            "CREATE VIRTUAL TABLE texts USING fts5(text, content = '', tokenize = 'unicode61')",
        )
        .map_err(failed)?;
    {
        let mut insert =
            change.prepare("INSERT INTO texts (rowid, text) VALUES (?1, ?2)").map_err(failed)?;
        let mut numbers = HashSet::new();
        for (number, text) in texts {
            // A table without contents would take it twice.
            if !numbers.insert(number) {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    format!("two texts with the number {number}"),
                ));
            }
            insert.execute((number, text)).map_err(failed)?;
        }
    }
    // One segment is faster to search than several.
    change.execute_batch("INSERT INTO texts (texts) VALUES ('optimize')").map_err(failed)?;
    change.commit().map_err(failed)
}

fn matches(connection: &Connection, query: &str) -> Result<Vec<(i64, f64)>> {
    // SQLite gives better matches lower scores.
    let sql = "SELECT rowid, -bm25(texts) FROM texts WHERE texts MATCH ?1 ORDER BY rowid";
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement.query_map([query], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
        .map_err(failed)
}

/// An FTS5 expression for texts that have any of the query's words; none without words.
fn match_any_word(query: &str) -> Option<String> {
    // A combining accent belongs to the letter before it.
    let in_word = |c: char| c.is_alphanumeric() || ('\u{300}'..='\u{36f}').contains(&c);
    let mut seen = HashSet::new();
    let words: Vec<String> = query
        .split(|c| !in_word(c))
        .filter(|word| !word.is_empty() && seen.insert(word.to_lowercase()))
        .map(|word| format!("\"{word}\""))
        .collect();
    (!words.is_empty()).then(|| words.join(" OR "))
}

fn failed(error: rusqlite::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("searching texts for words: {error}"))
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [(i64, &str); 4] = [
        (7, "The quick brown fox jumps over the lazy dog"),
        (-3, "A fox, a fox, my kingdom for a fox"),
        (i64::MAX, "Café crème"),
        (0, ""),
    ];

    #[test]
    fn scores_are_those_of_the_formula() {
        let index = Bm25::new(TEXTS).unwrap();
        let found = index.scores("Fox?").unwrap();
        // Two of four texts have it, so that its weight is the least there is, 1e-6.
        let lengths = [9.0, 9.0];
        let mean = (9.0 + 9.0 + 2.0) / 4.0;
        let expected: Vec<f64> = [3.0, 1.0]
            .iter()
            .zip(lengths)
            .map(|(f, len)| 1e-6 * f * 2.2 / (f + 1.2 * (0.25 + 0.75 * len / mean)))
            .collect();
        assert_eq!(found.iter().map(|found| found.0).collect::<Vec<_>>(), [-3, 7]);
        for (found, expected) in found.iter().zip(expected) {
            assert!((found.1 - expected).abs() < 1e-12, "{found:?}, expected {expected}");
        }
        let idf = ((4.0 - 1.0 + 0.5) / (1.0 + 0.5f64)).ln();
        let expected = idf * 2.2 / (1.0 + 1.2 * (0.25 + 0.75 * 2.0 / mean));
        for query in ["cafe", "CAFÉ cafe\u{301}", "\"café\" -- NEAR(*"] {
            let found = index.scores(query).unwrap();
            assert_eq!(found.len(), 1, "{query}");
            // The second spelling of the same word is another word to SQLite.
            let times = (found[0].1 / expected).round();
            assert!((found[0].1 - times * expected).abs() < 1e-9, "{found:?}, {expected}");
        }
    }

    #[test]
    fn any_text_is_a_valid_query() {
        let index = Bm25::new(TEXTS).unwrap();
        for query in ["", " ", "\"", "'; DROP TABLE texts; --", "*", "^fox AND", "a\0b", "{}:()"] {
            index.scores(query).unwrap();
        }
        assert!(index.scores("... ?!").unwrap().is_empty());
        assert!(index.scores("zebra").unwrap().is_empty());
        let long: String = (0..20_000).map(|i| format!("word{i} ")).collect();
        assert!(index.scores(&long).unwrap().is_empty());
        assert_eq!(index.scores(&(long + "dog")).unwrap().len(), 1);
        assert_eq!(index.scores("fox fox FOX").unwrap(), index.scores("fox").unwrap());
    }

    #[test]
    fn indexes_are_apart_and_shared_by_threads() {
        let (first, second) = (Bm25::new(TEXTS).unwrap(), Bm25::new([(1, "dog")]).unwrap());
        let expected = first.scores("lazy fox").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        assert_eq!(first.scores("lazy fox").unwrap(), expected);
                        assert_eq!(second.scores("lazy fox").unwrap(), []);
                    }
                });
            }
        });
        let error = Bm25::new([(1, "a"), (1, "b")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(Bm25::new([]).unwrap().scores("fox").unwrap().is_empty());
    }
}
